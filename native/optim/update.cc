#include "optim/update.h"

#include <algorithm>
#include <cmath>

namespace sknet::optim {

namespace {

// Long tensors in pieces, so that threads share them evenly.
constexpr int64_t kPiece = 64 * 1024;

std::vector<SgdSegment> cut(const std::vector<SgdSegment>& segments) {
  std::vector<SgdSegment> pieces;
  for (const SgdSegment& s : segments) {
    for (int64_t at = 0; at < s.size; at += kPiece) pieces.push_back({s.offset + at, std::min(kPiece, s.size - at), s.weight_decay});
  }
  return pieces;
}

}  // namespace

Update::Update(UpdateSpec spec, const OpTable& table)
    : spec_(std::move(spec)), sgd_(table.sgd.front()), ema_(table.ema.front()), norm_(table.reduce_norm.front()) {
  spec_.segments = cut(spec_.segments);
  sgd_problem_ = {spec_.parameter_floats, spec_.segments.data(), static_cast<int>(spec_.segments.size()), spec_.momentum, spec_.nesterov};
}

size_t Update::workspace() const { return norm_->workspace({spec_.parameter_floats}); }

std::vector<UpdatePass> Update::passes() const {
  constexpr int64_t kFloat = sizeof(float);
  const int64_t parameters = spec_.parameter_floats, all = spec_.tensor_floats, buffers = all - parameters;
  std::vector<UpdatePass> passes = {{"reduce_norm", norm_->name, 2 * parameters, parameters * kFloat},
                                    {"sgd", sgd_->name, 6 * parameters, 5 * parameters * kFloat},
                                    {"ema", ema_->name, 3 * buffers, 3 * buffers * kFloat}};
  if (spec_.ema_decay > 0) passes.push_back({"ema", ema_->name, 3 * all, 3 * all * kFloat});
  return passes;
}

UpdateOutcome Update::run(const Exec& exec, const UpdateMemory& m, float lr, int shards, bool loss_finite) const {
  double squares = 0;
  norm_->run({spec_.parameter_floats}, {m.results, &squares}, exec);
  const double norm = std::sqrt(squares);
  if (!loss_finite || !std::isfinite(norm)) return {norm, false};
  const bool clips = spec_.grad_clip > 0 && norm > spec_.grad_clip;
  sgd_->run(sgd_problem_, {m.values, m.momentum, m.results, lr, clips ? static_cast<float>(spec_.grad_clip / norm) : 1.0f}, exec);
  update_statistics(exec, m, shards);
  if (m.ema != nullptr) ema_->run({spec_.tensor_floats}, {m.ema, m.values, static_cast<float>(spec_.ema_decay), 1.0f}, exec);
  return {norm, true};
}

void Update::update_statistics(const Exec& exec, const UpdateMemory& m, int shards) const {
  const int64_t buffers = spec_.tensor_floats - spec_.parameter_floats;
  ema_->run({buffers},
            {m.values + spec_.parameter_floats, m.results + spec_.parameter_floats, 1.0f - spec_.statistics_momentum,
             1.0f / static_cast<float>(shards)},
            exec);
}

}  // namespace sknet::optim
