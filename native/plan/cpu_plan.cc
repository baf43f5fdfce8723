#include "plan/cpu_plan.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "plan/layout.h"
#include "plan/shard_tree.h"

namespace sknet::plan {

namespace {

using Clock = std::chrono::steady_clock;

// For ShardTree.
class Floats {
 public:
  explicit Floats(ThreadPool& pool) : pool_(&pool) {}
  void copy(float* to, const float* from, int64_t n) const {
    each(n, [=](int64_t i) { to[i] = from[i]; });
  }
  void add(float* to, const float* from, int64_t n) const {
    each(n, [=](int64_t i) { to[i] += from[i]; });
  }

 private:
  template <class F>
  void each(int64_t n, const F& f) const {
    constexpr int64_t kPiece = 64 * 1024;
    parallel_for(*pool_, (n + kPiece - 1) / kPiece, [&](int64_t piece, int) {
      const int64_t first = piece * kPiece, last = std::min(n, first + kPiece);
      for (int64_t i = first; i < last; ++i) f(i);
    });
  }
  ThreadPool* pool_;
};

}  // namespace

CpuPlan::CpuPlan(PlanSpec spec)
    : program_(spec, cpu_op_table(spec.isa, spec.precision), spec.threads),
      arena_(static_cast<size_t>(program_.bytes())),
      pool_(spec.threads),
      a_(program_.addresses(arena_.data())),
      memory_(program_.memory(a_)) {
  check(program_.spec.image_bytes == 0, "ERR_SKNET_NATIVE", "the CPU reads batches of floats");
  check(program_.spec.ranks.count == 1, "ERR_SKNET_NATIVE", "the CPU trains on one rank");
  exec_.pool = &pool_;
  exec_.workspace = a_.workspace;
  exec_.scratch = a_.scratch;
  exec_.scratch_stride = static_cast<size_t>(program_.sizes.scratch);
  bind_steps();
}

void CpuPlan::bind_steps() {
  const std::vector<int64_t> packed = program_.packed_offsets();
  for (size_t i = 0; i < program_.steps.size(); ++i) {
    const Step& step = program_.steps[i];
    if (step.bind) bound_.push_back({step.info.phase, step.bind(memory_), a_.packed + packed[i]});
  }
}

std::vector<StepInfo> CpuPlan::steps() const {
  std::vector<StepInfo> infos;
  for (const Step& step : program_.steps) infos.push_back(step.info);
  for (size_t i = 0; i < bound_.size(); ++i) infos[i].seconds = bound_[i].seconds;
  return infos;
}

bool CpuPlan::read(Section section, const Tensor& tensor, float* data) {
  const float* from = program_.section(a_, section, tensor);
  if (from != nullptr) std::copy_n(from, tensor.size(), data);
  return from != nullptr;
}

bool CpuPlan::write(Section section, const Tensor& tensor, const float* data) {
  float* to = program_.section(a_, section, tensor);
  if (to != nullptr) std::copy_n(data, tensor.size(), to);
  packed_is_old_ = true;
  return to != nullptr;
}

void CpuPlan::run_step(Bound& step) {
  const Clock::time_point start = Clock::now();
  exec_.packed = step.packed;
  if (!program_.keeps_packed() && step.calls.pack) step.calls.pack(exec_);
  step.calls.run(exec_);
  step.seconds += std::chrono::duration<double>(Clock::now() - start).count();
}

void CpuPlan::pack_all() {
  if (!program_.keeps_packed() || !packed_is_old_) return;
  packed_is_old_ = false;
  for (const Bound& step : bound_) {
    exec_.packed = step.packed;
    if (step.calls.pack) step.calls.pack(exec_);
  }
}

void CpuPlan::run_phase(Phase phase) {
  pack_all();
  for (Bound& step : bound_) {
    if (step.phase == phase) run_step(step);
  }
}

void CpuPlan::load_images(const float* images, int count) {
  const Shape& in = graph().input;
  const int64_t hw = static_cast<int64_t>(in.h) * in.w, image = hw * in.c;
  const int64_t stored = program_.input_rows ? image : program_.layout.floats(1, hw, in.c);
  float* x = at(program_.input);
  if (program_.input_rows) {
    parallel_for(pool_, count, [&](int64_t n, int) { std::copy_n(images + n * image, image, x + n * image); });
  } else {
    to_blocked(pool_, images, count, hw, in.c, program_.layout, x);
  }
  // Beyond `count` the last image again: finite numbers whose results nobody reads.
  for (int n = count; n < spec().shard_size; ++n) std::copy_n(x + (count - 1) * stored, stored, x + n * stored);
}

void CpuPlan::read_blocked(const Ref& ref, const Shape& shape, int count, float* rows) {
  from_blocked(pool_, at(ref), count, static_cast<int64_t>(shape.h) * shape.w, shape.c, program_.layout, rows);
}

void CpuPlan::load_labels(const Targets& targets, int64_t first, int count) {
  const int size = spec().shard_size;
  int32_t *labels = reinterpret_cast<int32_t*>(a_.labels), *labels2 = labels + size;
  float* mix = a_.labels + 2 * size;
  std::copy_n(targets.labels + first, count, labels);
  std::fill(labels + count, labels + size, -1);
  if (targets.mix == nullptr) {
    std::copy_n(labels, size, labels2);
    std::fill_n(mix, size, 1.0f);
  } else {
    std::copy_n(targets.labels2 + first, count, labels2);
    std::copy_n(targets.mix + first, count, mix);
  }
}

void CpuPlan::submit(const float* images, const Targets& targets, float lr) {
  check(spec().mode == Mode::kTrain, "ERR_SKNET_NATIVE", "this plan does not train");
  const int64_t shard_floats = graph().input.size();
  packed_is_old_ = true;
  pack_all();
  ShardTree tree(Floats(pool_), a_.stack, program_.sizes.results, program_.sizes.results);
  for (int shard = 0; shard < spec().shards; ++shard) {
    load_images(images + shard * shard_floats, spec().shard_size);
    load_labels(targets, static_cast<int64_t>(shard) * spec().shard_size, spec().shard_size);
    for (Bound& step : bound_) run_step(step);
    if (shard + 1 < spec().shards) tree.add(a_.results, shard);
  }
  tree.finish(a_.results, spec().shards);
  const float* totals = a_.results + program_.totals_at;
  UpdateControl control{.lr = lr};
  program_.update->run(exec_, {a_.tensors, a_.results, a_.momentum, a_.ema, totals, &control}, spec().shards);
  outcome_ = {.totals = {totals[0] / static_cast<double>(batch()), static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])},
              .gradient_norm = control.gradient_norm,
              .finite = control.live != 0};
}

StepOutcome CpuPlan::collect() { return outcome_; }

void CpuPlan::submit_evaluation(const float* images, const int32_t* labels, int count) {
  check(spec().mode == Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not evaluate");
  load_images(images, count);
  load_labels({labels}, 0, count);
  run_phase(Phase::kForward);
  run_phase(Phase::kLoss);
  const float* totals = a_.results + program_.totals_at;
  outcome_.totals = {totals[0], static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])};
}

void CpuPlan::infer(const float* images, int count, float* out) {
  check(spec().mode == Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not infer");
  load_images(images, count);
  run_phase(Phase::kForward);
  read_blocked(program_.output, output_shape(), count, out);
}

void CpuPlan::block_forward(const float* x, float* y) {
  check(spec().mode == Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  load_images(x, spec().shard_size);
  run_phase(Phase::kForward);
  program_.update->update_statistics(exec_, {.values = a_.tensors, .results = a_.results}, 1);
  read_blocked(program_.output, output_shape(), spec().shard_size, y);
}

void CpuPlan::block_backward(const float* dy, float* dx) {
  check(spec().mode == Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  const Shape y = output_shape();
  to_blocked(pool_, dy, y.n, static_cast<int64_t>(y.h) * y.w, y.c, program_.layout, at(program_.output_gradient));
  run_phase(Phase::kBackward);
  read_blocked(program_.input_gradient, graph().input, spec().shard_size, dx);
}

MemoryReport cpu_plan_memory(const PlanSpec& spec) { return Program(spec, cpu_op_table(spec.isa, spec.precision), spec.threads).report; }

}  // namespace sknet::plan
