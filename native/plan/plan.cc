#include "plan/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "plan/layout.h"
#include "plan/lowering.h"

namespace sknet::plan {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kAlignFloats = 16;
constexpr int64_t kTotals = kAlignFloats;  // room behind the tensors' results for the step's totals

size_t whole_lines(size_t bytes) {
  constexpr size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

int64_t aligned(int64_t floats) { return (floats + kAlignFloats - 1) / kAlignFloats * kAlignFloats; }

// The shared statistics momentum of all batch norms (they are updated in one pass over flat memory).
float statistics_momentum(const Graph& graph) {
  float momentum = -1;
  for (const Layer& layer : graph.layers) {
    if (layer.removed || (layer.spec.op != "batch_norm" && layer.spec.op != "sk_unit")) continue;
    if (momentum >= 0 && layer.spec.momentum != momentum) {
      throw Error("ERR_SKNET_MODEL", "layer " + layer.spec.name + ": all batch norms of a model share one momentum")
          .with_tensor(layer.spec.name);
    }
    momentum = layer.spec.momentum;
  }
  return momentum < 0 ? 0.1f : momentum;
}

optim::UpdateSpec update_spec(const PlanSpec& spec, const Graph& graph) {
  optim::UpdateSpec u{.parameter_floats = graph.parameter_floats,
                      .tensor_floats = graph.tensor_floats,
                      .segments = {},
                      .momentum = spec.optimizer.momentum,
                      .nesterov = spec.optimizer.nesterov,
                      .grad_clip = spec.optimizer.grad_clip,
                      .ema_decay = spec.optimizer.ema_decay,
                      .statistics_momentum = statistics_momentum(graph)};
  if (spec.mode != Mode::kTrain) return u;  // a block only updates its running statistics
  size_t index = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.buffer) continue;
    check(index < spec.optimizer.weight_decay.size(), "ERR_SKNET_NATIVE", "weightDecay has fewer entries than the model has parameters");
    u.segments.push_back({t.offset, t.size(), static_cast<float>(spec.optimizer.weight_decay[index++])});
  }
  return u;
}

}  // namespace

Plan::Plan(PlanSpec spec) : spec_(std::move(spec)), graph_(build_graph(spec_)) {
  const OpTable& table = cpu_op_table(spec_.isa, spec_.precision);
  layout_ = {table.block, table.elem_bytes};
  if (spec_.fuse) fuse(graph_);
  Lowering lowering(spec_, graph_, table);
  lowering.run();
  steps_ = std::move(lowering.steps);
  values_ = std::move(lowering.values);
  input_ = lowering.input;
  input_rows_ = lowering.input_rows;
  output_ = lowering.reading_of(graph_.output()).ref;
  output_gradient_ = lowering.output_gradient;
  input_gradient_ = lowering.input_gradient;
  if (spec_.mode != Mode::kInfer) update_ = std::make_unique<optim::Update>(update_spec(spec_, graph_), table);
  lay_out();
  pool_ = std::make_unique<ThreadPool>(spec_.threads);
  exec_.pool = pool_.get();
  bind_steps();
  // The update is no part of the graph: it runs once a step, after all shards. Listed so that the plan shows everything.
  if (spec_.mode != Mode::kTrain) return;
  for (const optim::UpdatePass& pass : update_->passes()) {
    steps_.push_back(
        {.op = pass.op, .layer = "update", .phase = Phase::kUpdate, .candidate = pass.candidate, .flops = pass.flops, .bytes = pass.bytes});
  }
}

void Plan::bind_steps() {
  char* next = packed_;
  for (const Step& step : steps_) {
    bound_.push_back({step.phase, step.bind(memory_), next});
    if (keeps_packed()) next += whole_lines(step.packed);
  }
}

void Plan::lay_out() {
  size_t workspace = update_ == nullptr ? 0 : update_->workspace(), scratch = 0, packed = 0;
  for (const Step& step : steps_) {
    workspace = std::max(workspace, step.workspace);
    scratch = std::max(scratch, step.scratch);
    packed = keeps_packed() ? packed + whole_lines(step.packed) : std::max(packed, whole_lines(step.packed));
  }
  workspace = whole_lines(workspace);
  exec_.scratch_stride = whole_lines(scratch);
  totals_at_ = totals_offset(spec_, graph_);
  result_floats_ = totals_at_ + kTotals;
  const bool train = spec_.mode == Mode::kTrain;
  const int64_t activations = plan::lay_out(values_), labels = aligned(spec_.shard_size);
  const int64_t momentum = train ? graph_.parameter_floats : 0, ema = train && spec_.optimizer.ema_decay > 0 ? graph_.tensor_floats : 0;
  const int64_t stack = ShardTree::levels(spec_.shards) * result_floats_;
  const int64_t floats = graph_.tensor_floats + result_floats_ + momentum + ema + stack + labels + activations;
  const int64_t bytes = floats * static_cast<int64_t>(sizeof(float)) +
                        static_cast<int64_t>(workspace + packed + exec_.scratch_stride * static_cast<size_t>(std::max(1, spec_.threads)));
  arena_ = std::make_unique<Arena>(static_cast<size_t>(bytes));

  float* next = reinterpret_cast<float*>(arena_->data());
  const auto take = [&](int64_t size) { return std::exchange(next, next + size); };
  tensor_values_ = take(graph_.tensor_floats);
  results_ = take(result_floats_);
  momentum_ = momentum > 0 ? take(momentum) : nullptr;
  ema_ = ema > 0 ? take(ema) : nullptr;
  stack_ = take(stack);
  labels_ = take(labels);
  float* values = take(activations);
  exec_.workspace = reinterpret_cast<char*>(next);
  packed_ = exec_.workspace + workspace;
  exec_.scratch = packed_ + packed;
  memory_ = Memory(&values_, tensor_values_, results_, labels_, values);

  constexpr int64_t kFloat = sizeof(float);
  report_ = {.parameters = graph_.tensor_floats * kFloat,
             .gradients = (totals_at_ + stack) * kFloat,
             .optimizer = momentum * kFloat,
             .ema = ema * kFloat,
             .activations = (activations + labels + kTotals) * kFloat,
             .workspace = bytes - floats * kFloat,
             .total = bytes};
}

float* Plan::section(Section section, const Tensor& tensor) {
  switch (section) {
    case Section::kValue:
      packed_is_old_ = true;
      return tensor_values_ + tensor.offset;
    case Section::kGradient:
      return spec_.mode == Mode::kInfer ? nullptr : results_ + tensor.offset;
    case Section::kMomentum:
      return momentum_ == nullptr || tensor.buffer ? nullptr : momentum_ + tensor.offset;
    case Section::kEma:
      break;
  }
  return ema_ == nullptr ? nullptr : ema_ + tensor.offset;
}

void Plan::copy_values(const Plan& from, bool ema) {
  const bool same = std::equal(graph_.tensors.begin(), graph_.tensors.end(), from.graph_.tensors.begin(), from.graph_.tensors.end(),
                               [](const Tensor& a, const Tensor& b) { return a.name == b.name && a.shape == b.shape; });
  check(same, "ERR_SKNET_WEIGHTS", "the two plans describe different tensors");
  check(!ema || from.ema_ != nullptr, "ERR_SKNET_NATIVE", "the plan keeps no EMA");
  packed_is_old_ = true;
  std::copy_n(ema ? from.ema_ : from.tensor_values_, graph_.tensor_floats, tensor_values_);
}

void Plan::run_step(size_t index) {
  const Clock::time_point start = Clock::now();
  const Bound& step = bound_[index];
  exec_.packed = step.packed;
  if (!keeps_packed() && step.calls.pack) step.calls.pack(exec_);
  step.calls.run(exec_);
  steps_[index].seconds += std::chrono::duration<double>(Clock::now() - start).count();
}

void Plan::pack_all() {
  if (!keeps_packed() || !packed_is_old_) return;
  packed_is_old_ = false;
  for (const Bound& step : bound_) {
    exec_.packed = step.packed;
    if (step.calls.pack) step.calls.pack(exec_);
  }
}

void Plan::run_phase(Phase phase) {
  pack_all();
  for (size_t i = 0; i < bound_.size(); ++i) {
    if (bound_[i].phase == phase) run_step(i);
  }
}

void Plan::load_images(const float* images, int count) {
  const Shape& in = graph_.input;
  const int64_t hw = static_cast<int64_t>(in.h) * in.w, image = hw * in.c;
  const int64_t stored = input_rows_ ? image : layout_.floats(1, hw, in.c);
  float* x = at(input_);
  if (input_rows_) {
    parallel_for(*pool_, count, [&](int64_t n, int) { std::copy_n(images + n * image, image, x + n * image); });
  } else {
    to_blocked(*pool_, images, count, hw, in.c, layout_, x);
  }
  // Beyond `count` the last image again: finite numbers whose results nobody reads.
  for (int n = count; n < spec_.shard_size; ++n) std::copy_n(x + (count - 1) * stored, stored, x + n * stored);
}

void Plan::read_blocked(const Ref& ref, const Shape& shape, int count, float* rows) {
  from_blocked(*pool_, at(ref), count, static_cast<int64_t>(shape.h) * shape.w, shape.c, layout_, rows);
}

void Plan::load_labels(const int32_t* labels, int count) {
  int32_t* to = reinterpret_cast<int32_t*>(labels_);
  std::copy_n(labels, count, to);
  std::fill(to + count, to + spec_.shard_size, -1);
}

Plan::TrainOutcome Plan::train(const float* images, const int32_t* labels, float lr) {
  check(spec_.mode == Mode::kTrain, "ERR_SKNET_NATIVE", "this plan does not train");
  const int64_t shard_floats = graph_.input.size();
  packed_is_old_ = true;
  pack_all();
  ShardTree tree(*pool_, stack_, result_floats_);
  for (int shard = 0; shard < spec_.shards; ++shard) {
    load_images(images + shard * shard_floats, spec_.shard_size);
    load_labels(labels + static_cast<int64_t>(shard) * spec_.shard_size, spec_.shard_size);
    for (size_t i = 0; i < bound_.size(); ++i) run_step(i);
    if (shard + 1 < spec_.shards) tree.add(results_, shard);
  }
  tree.finish(results_, spec_.shards);
  const float* totals = results_ + totals_at_;
  TrainOutcome outcome{
      .totals = {totals[0] / static_cast<double>(batch()), static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])}};
  const optim::UpdateOutcome update =
      update_->run(exec_, {tensor_values_, results_, momentum_, ema_}, lr, spec_.shards, std::isfinite(totals[0]));
  outcome.gradient_norm = update.gradient_norm;
  outcome.finite = update.finite;
  return outcome;
}

Totals Plan::evaluate(const float* images, const int32_t* labels, int count) {
  check(spec_.mode == Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not evaluate");
  load_images(images, count);
  load_labels(labels, count);
  run_phase(Phase::kForward);
  run_phase(Phase::kLoss);
  const float* totals = results_ + totals_at_;
  return {totals[0], static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])};
}

void Plan::infer(const float* images, int count, float* out) {
  check(spec_.mode == Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not infer");
  load_images(images, count);
  run_phase(Phase::kForward);
  read_blocked(output_, output_shape(), count, out);
}

void Plan::block_forward(const float* x, float* y) {
  check(spec_.mode == Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  load_images(x, spec_.shard_size);
  run_phase(Phase::kForward);
  update_->update_statistics(exec_, {tensor_values_, results_, nullptr, nullptr}, 1);
  read_blocked(output_, output_shape(), spec_.shard_size, y);
}

void Plan::block_backward(const float* dy, float* dx) {
  check(spec_.mode == Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  const Shape y = output_shape();
  to_blocked(*pool_, dy, y.n, static_cast<int64_t>(y.h) * y.w, y.c, layout_, at(output_gradient_));
  run_phase(Phase::kBackward);
  read_blocked(input_gradient_, graph_.input, spec_.shard_size, dx);
}

}  // namespace sknet::plan
