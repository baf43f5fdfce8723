#include "optim/update.h"

#include <algorithm>

namespace sknet::optim {

namespace {

// Long tensors in pieces, so that threads share them evenly.
constexpr int64_t kPiece = 64 * 1024;

std::vector<SgdSegment> cut(const std::vector<SgdSegment>& segments) {
  std::vector<SgdSegment> pieces;
  for (const SgdSegment& s : segments) {
    for (int64_t at = 0; at < s.size; at += kPiece) {
      pieces.push_back({s.offset + at, std::min(kPiece, s.size - at), s.weight_decay, s.lr_scale, s.tensor});
    }
  }
  return pieces;
}

// Segments that nothing but padding lies between become one: the padding's zeros are averaged along.
std::vector<SgdSegment> joined(const std::vector<SgdSegment>& segments) {
  constexpr int64_t kPadding = 16;
  std::vector<SgdSegment> runs;
  for (const SgdSegment& s : segments) {
    if (!runs.empty() && s.offset - (runs.back().offset + runs.back().size) < kPadding) {
      runs.back().size = s.offset + s.size - runs.back().offset;
    } else {
      runs.push_back(s);
    }
  }
  return runs;
}

}  // namespace

Update::Update(UpdateSpec spec, const OpTable& table)
    : spec_(std::move(spec)),
      sgd_(table.sgd.front()),
      ema_(table.ema.front()),
      norm_(table.reduce_norm.front()),
      trust_(spec_.scaled.empty() ? nullptr : table.trust_ratio.front()) {
  spec_.segments = cut(spec_.segments);
  spec_.frozen = joined(spec_.frozen);
  sgd_problem_ = {spec_.segments.data(), segment_count(), spec_.momentum, spec_.nesterov};
}

TrustRatioProblem Update::trust_problem() const {
  return {spec_.segments.data(), segment_count(), spec_.scaled.data(), static_cast<int>(spec_.scaled.size()), spec_.trust_coefficient};
}

size_t Update::trust_bytes() const {
  constexpr size_t kLine = 64;
  return (spec_.scaled.size() * sizeof(float) + kLine - 1) / kLine * kLine;
}

size_t Update::workspace() const {
  const size_t norm = norm_->workspace(norm_problem());
  return trust_ == nullptr ? norm : trust_bytes() + std::max(norm, trust_->workspace(trust_problem()));
}

std::vector<UpdatePass> Update::passes() const {
  constexpr int64_t kFloat = sizeof(float);
  const int64_t parameters = spec_.parameter_floats, buffers = spec_.tensor_floats - parameters;
  const bool averages = spec_.ema_decay > 0;
  std::vector<UpdatePass> passes = {{"reduce_norm", norm_->name, 2 * parameters, parameters * kFloat},
                                    {"sgd", sgd_->name, (averages ? 9 : 6) * parameters, (averages ? 7 : 5) * parameters * kFloat},
                                    {"ema", ema_->name, 3 * buffers, 3 * buffers * kFloat}};
  if (trust_ != nullptr) passes.insert(passes.begin() + 1, {"trust_ratio", trust_->name, 4 * parameters, 2 * parameters * kFloat});
  if (averages) passes.push_back({"ema", ema_->name, 3 * buffers, 3 * buffers * kFloat});
  return passes;
}

void Update::run(const Exec& exec, const UpdateMemory& m, int shards) const {
  norm_->run(norm_problem(), {m.results, m.loss, m.control}, exec);
  float* trust = nullptr;
  if (trust_ != nullptr) {
    trust = reinterpret_cast<float*>(exec.workspace);
    Exec behind = exec;
    behind.workspace += trust_bytes();
    trust_->run(trust_problem(), {m.values, m.results, trust, m.control}, behind);
  }
  const float decay = static_cast<float>(spec_.ema_decay);
  sgd_->run(sgd_problem_, {m.values, m.momentum, m.results, trust, m.control, m.ema, decay}, exec);
  update_statistics(exec, m, shards);
  if (m.ema == nullptr) return;
  const auto average = [&](int64_t offset, int64_t size) {
    ema_->run({size}, {m.ema + offset, m.values + offset, decay, 1.0f, m.control}, exec);
  };
  for (const SgdSegment& s : spec_.frozen) average(s.offset, s.size);
  average(spec_.parameter_floats, spec_.tensor_floats - spec_.parameter_floats);
}

void Update::update_statistics(const Exec& exec, const UpdateMemory& m, int shards) const {
  const int64_t buffers = spec_.tensor_floats - spec_.parameter_floats;
  ema_->run({buffers},
            {m.values + spec_.parameter_floats, m.results + spec_.parameter_floats, 1.0f - spec_.statistics_momentum,
             1.0f / static_cast<float>(shards), m.control},
            exec);
}

}  // namespace sknet::optim
