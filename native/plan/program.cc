#include "plan/program.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "plan/lowering.h"
#include "plan/shard_tree.h"

namespace sknet::plan {

namespace {

constexpr int64_t kAlignFloats = 16;
constexpr int64_t kTotals = kAlignFloats;  // room behind the tensors' results for the step's totals

int64_t whole_lines(size_t bytes) {
  constexpr int64_t kLine = 64;
  return (static_cast<int64_t>(bytes) + kLine - 1) / kLine * kLine;
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
                      .frozen = {},
                      .momentum = spec.optimizer.momentum,
                      .nesterov = spec.optimizer.nesterov,
                      .grad_clip = spec.optimizer.grad_clip,
                      .ema_decay = spec.optimizer.ema_decay,
                      .statistics_momentum = statistics_momentum(graph)};
  if (spec.mode != Mode::kTrain) return u;  // a block only updates its running statistics
  const OptimizerSpec& o = spec.optimizer;
  size_t index = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.buffer) continue;
    check(index < o.weight_decay.size(), "ERR_SKNET_NATIVE", "weightDecay has fewer entries than the model has parameters");
    check(o.lr_scale.empty() || index < o.lr_scale.size(), "ERR_SKNET_NATIVE", "lrScale has fewer entries than the model has parameters");
    const double lr_scale = o.lr_scale.empty() ? 1 : o.lr_scale[index];
    if (o.trust > 0) u.scaled.push_back(t.shape.size() >= 2 ? 1 : 0);
    (lr_scale > 0 ? u.segments : u.frozen)
        .push_back({t.offset, t.size(), static_cast<float>(o.weight_decay[index]), static_cast<float>(lr_scale), static_cast<int>(index)});
    ++index;
  }
  u.trust_coefficient = static_cast<float>(o.trust);
  return u;
}

}  // namespace

Program::Program(PlanSpec plan_spec, const OpTable& table, int threads, Chooser& chooser)
    : spec(std::move(plan_spec)), graph(build_graph(spec)), layout{table.block, table.elem_bytes} {
  if (spec.fuse) fuse(graph);
  lower(table, chooser);
  place_workspaces(table);
  if (spec.mode != Mode::kInfer) update.emplace(update_spec(spec, graph), table);
  lay_out(threads);
  if (spec.mode != Mode::kTrain) return;
  // The update is no part of the graph: it runs once a step, after all shards. Listed so that the plan shows everything.
  for (const optim::UpdatePass& pass : update->passes()) {
    Step step;
    step.info = {.op = pass.op, .layer = "update", .phase = Phase::kUpdate, .candidate = pass.candidate};
    step.info.flops = pass.flops;
    step.info.bytes = pass.bytes;
    steps.push_back(std::move(step));
  }
}

void Program::lower(const OpTable& table, Chooser& chooser) {
  Lowering lowering(spec, graph, table, chooser);
  lowering.run();
  steps = std::move(lowering.steps);
  values = std::move(lowering.values);
  input = lowering.input;
  input_rows = lowering.input_rows;
  output = lowering.reading_of(graph.output()).ref;
  output_gradient = lowering.output_gradient;
  input_gradient = lowering.input_gradient;
}

// Among the activations there is room while others are dead: where most are alive, behind the last forward step, the images are small, and
// so are workspaces. Else all steps share one, which stays in a CPU's caches.
void Program::place_workspaces(const OpTable& table) {
  if (!table.spare_memory) return;
  for (size_t i = 0; i < steps.size(); ++i) {
    Step& step = steps[i];
    if (step.workspace == 0) continue;
    step.workspace_value = static_cast<int>(values.size());
    const int at = static_cast<int>(i);
    values.push_back({.floats = whole_lines(step.workspace) / static_cast<int64_t>(sizeof(float)), .first = at, .last = at});
  }
}

char* Program::workspace(const Addresses& a, const Step& step) const {
  if (step.workspace_value < 0) return a.workspace;
  return reinterpret_cast<char*>(a.activations + values[static_cast<size_t>(step.workspace_value)].offset);
}

void Program::lay_out(int threads) {
  size_t workspace = update ? update->workspace() : 0, scratch = 0;
  for (const Step& step : steps) {
    if (step.workspace_value < 0) workspace = std::max(workspace, step.workspace);
    scratch = std::max(scratch, step.scratch);
    sizes.packed = keeps_packed() ? sizes.packed + whole_lines(step.packed) : std::max(sizes.packed, whole_lines(step.packed));
  }
  const bool train = spec.mode == Mode::kTrain;
  totals_at = totals_offset(spec, graph);
  sizes.tensors = graph.tensor_floats;
  sizes.results = totals_at + kTotals;
  sizes.momentum = train ? graph.parameter_floats : 0;
  sizes.ema = train && spec.optimizer.ema_decay > 0 ? graph.tensor_floats : 0;
  sizes.stack = shard_tree_levels(spec.shards) * sizes.results;
  sizes.labels = aligned(3 * int64_t{spec.shard_size});
  sizes.activations = plan::lay_out(values);
  sizes.workspace = whole_lines(workspace);
  sizes.scratch = whole_lines(scratch);

  constexpr int64_t kFloat = sizeof(float);
  const int64_t other = sizes.workspace + sizes.packed + sizes.scratch * std::max(1, threads);
  report = {.parameters = graph.tensor_floats * kFloat,
            .gradients = (totals_at + sizes.stack) * kFloat,
            .optimizer = sizes.momentum * kFloat,
            .ema = sizes.ema * kFloat,
            .activations = (sizes.activations + sizes.labels + kTotals) * kFloat,
            .workspace = other,
            .total = sizes.floats() * kFloat + other};
}

Addresses Program::addresses(char* memory) const {
  float* next = reinterpret_cast<float*>(memory);
  const auto take = [&](int64_t size) { return std::exchange(next, next + size); };
  Addresses a{};
  a.tensors = take(sizes.tensors);
  a.results = take(sizes.results);
  if (sizes.momentum > 0) a.momentum = take(sizes.momentum);
  if (sizes.ema > 0) a.ema = take(sizes.ema);
  a.stack = take(sizes.stack);
  a.labels = take(sizes.labels);
  a.activations = take(sizes.activations);
  a.workspace = reinterpret_cast<char*>(next);
  a.packed = a.workspace + sizes.workspace;
  a.scratch = a.packed + sizes.packed;
  return a;
}

std::vector<int64_t> Program::packed_offsets() const {
  std::vector<int64_t> offsets;
  int64_t next = 0;
  for (const Step& step : steps) {
    offsets.push_back(next);
    if (keeps_packed()) next += whole_lines(step.packed);
  }
  return offsets;
}

float* Program::section(const Addresses& a, Section section, const Tensor& tensor) const {
  switch (section) {
    case Section::kValue:
      return a.tensors + tensor.offset;
    case Section::kGradient:
      return spec.mode == Mode::kInfer ? nullptr : a.results + tensor.offset;
    case Section::kMomentum:
      return a.momentum == nullptr || tensor.buffer ? nullptr : a.momentum + tensor.offset;
    case Section::kEma:
      break;
  }
  return a.ema == nullptr ? nullptr : a.ema + tensor.offset;
}

}  // namespace sknet::plan
