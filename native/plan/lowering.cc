#include "plan/lowering.h"

#include <algorithm>

#include "plan/lower/layers.h"

namespace sknet::plan {

Lowering::Lowering(const PlanSpec& spec, const Graph& graph, const OpTable& table)
    : spec(spec), graph(graph), table(table), saved_(graph.layers.size()), gradients_(graph.layers.size()) {}

Ref Lowering::new_value(int64_t floats) {
  values.push_back({.floats = floats});
  return {Region::kActivation, static_cast<int64_t>(values.size()) - 1};
}

void Lowering::record(Step step) {
  // A value lives from the first step that touches it to the last.
  const int index = static_cast<int>(steps.size());
  const Memory recording;
  (void)step.bind(recording);
  std::vector<int> touched = recording.touched();
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (const int id : touched) {
    Value& v = values[static_cast<size_t>(id)];
    if (v.first < 0) v.first = index;
    v.last = index;
    step.bytes += v.floats * static_cast<int64_t>(sizeof(float));
  }
  steps.push_back(std::move(step));
}

Ref Lowering::gradient(int layer) const { return gradients_[static_cast<size_t>(layer)].ref; }

Lowering::Target Lowering::gradient_target(int layer) {
  Gradient& slot = gradient_slot(layer);
  const int64_t size = graph.shape_of(layer).size();
  if (slot.ref.region == Region::kNone) {
    slot = {new_value(size), true};
    return {slot.ref, false};
  }
  if (!slot.owned) {
    // Others still read the shared memory: the sum starts in a copy of its own.
    const Ref own = new_value(size), shared = slot.ref;
    copy(*this, shared, own, size);
    slot = {own, true};
  }
  return {slot.ref, true};
}

void Lowering::share_gradient(int layer, Ref ref) {
  if (!needs_gradient(layer)) return;
  Gradient& slot = gradient_slot(layer);
  if (slot.ref.region == Region::kNone) {
    slot = {ref, false};
    return;
  }
  const Target target = gradient_target(layer);
  add_into(target.ref, ref, graph.shape_of(layer).size(), "gradient");
}

void Lowering::add_into(Ref target, Ref share, int64_t size, const std::string& name) {
  step("add", name, table.add, PointwiseProblem{size}, size, [=](const Memory& at) { return AddArgs{at(target), at(share), at(target)}; });
}

void Lowering::run() {
  input = new_value(graph.input.size());
  for (int i = 0; i < static_cast<int>(graph.layers.size()); ++i) forward(i);
  value_of(input).first = 0;
  const int forward_steps = static_cast<int>(steps.size());
  // The output is read after the forward steps.
  Value& y = value_of(output_of(graph.output()));
  y.last = std::max(y.last, forward_steps);
  if (training()) {
    output_gradient = gradient_target(graph.output()).ref;
    // In block mode the caller writes it between forward and backward.
    Value& dy = value_of(output_gradient);
    dy.first = dy.last = forward_steps - 1;
  }
  if (spec.mode != Mode::kBlock) {
    set_phase(Phase::kLoss);
    loss(*this);
  }
  if (!training()) return;
  set_phase(Phase::kBackward);
  for (int i = graph.output(); i >= 0; --i) backward(i);
  input_gradient = input_slot_.ref;
  if (input_gradient.region == Region::kActivation) value_of(input_gradient).last = static_cast<int>(steps.size());
}

void Lowering::forward(int layer) {
  const Layer& l = graph.layers[static_cast<size_t>(layer)];
  if (l.removed) return;
  lowering_of(l.spec.op).forward(*this, layer);
}

void Lowering::backward(int layer) {
  const Layer& l = graph.layers[static_cast<size_t>(layer)];
  if (l.removed || gradient(layer).region == Region::kNone) return;
  lowering_of(l.spec.op).backward(*this, layer);
}

}  // namespace sknet::plan
