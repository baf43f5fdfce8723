#include "plan/lowering.h"

#include <algorithm>

#include "plan/lower/layers.h"

namespace sknet::plan {

Lowering::Lowering(const PlanSpec& spec, const Graph& graph, const OpTable& table, Chooser& chooser)
    : spec(spec),
      graph(graph),
      table(table),
      chooser(chooser),
      saved_(graph.layers.size()),
      norms_(graph.layers.size()),
      readers_(graph.layers.size() + 1),
      gradients_(graph.layers.size() + 1) {
  find_readers();
}

void Lowering::find_readers() {
  for (int i = 0; i < static_cast<int>(graph.layers.size()); ++i) {
    if (layer(i).removed) continue;
    std::vector<int> inputs = layer(i).inputs;
    if (layer(i).residual != kNone) inputs.push_back(layer(i).residual);
    for (const int from : inputs) {
      readers_[slot_of(from)].push_back(i);
      ++slot(from).shares;
    }
  }
}

int Lowering::norm_behind(int index) const {
  const std::vector<int>& readers = readers_of(index);
  if (!spec.fuse || readers.size() != 1 || index == graph.output()) return kNone;
  const Layer& reader = layer(readers[0]);
  return reader.spec.op == "batch_norm" && reader.inputs[0] == index ? readers[0] : kNone;
}

Reading Lowering::reading_again(int index) {
  if (index == kNetworkInput) return reading_of(index);
  const auto make = lowering_of(layer(index).spec.op).output_again;
  if (table.spare_memory && make != nullptr && !saved(index).stays) {
    saved(index).output = {.ref = make(*this, index)};
    saved(index).stays = true;
  }
  return reading_of(index);
}

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
    step.info.bytes += v.floats * static_cast<int64_t>(sizeof(float));
  }
  step.results = recording.results();
  steps.push_back(std::move(step));
}

Lowering::Target Lowering::gradient_target(int index, bool can_close) {
  Gradient& g = slot(index);
  const bool closes = can_close && may_close(index);
  --g.shares;
  Target target;
  if (g.ref.region != Region::kNone) target.add = g.ref;
  // Others still read memory that is not owned: the sum gets its own.
  target.ref = g.owned ? g.ref : new_activation(graph.shape_of(index));
  g.ref = target.ref;
  g.owned = true;
  if (closes) {
    norm(index).closed = true;
    target.close = index;
  }
  return target;
}

bool Lowering::may_close(int index) const {
  return spec.fuse && index != kNetworkInput && slot(index).shares == 1 && layer(index).spec.op == "batch_norm";
}

void Lowering::share_gradient(int index, Ref ref) {
  if (!needs_gradient(index)) return;
  Gradient& g = slot(index);
  if (g.ref.region == Region::kNone) {
    --g.shares;
    g.ref = ref;
    return;
  }
  const Target target = gradient_target(index);
  add(*this, target.add, ref, target.ref, elements(graph.shape_of(index)), "gradient");
}

void Lowering::share_through_norm(int index, Ref dz, int norm) {
  Gradient& g = slot(index);
  --g.shares;
  g.ref = dz;
  g.norm = norm;
}

void Lowering::run() {
  input_rows = reads_rows(*this);
  input = new_value(input_rows ? graph.input.size() : stored(graph.input));
  for (int i = 0; i < static_cast<int>(graph.layers.size()); ++i) forward(i);
  value_of(input).first = 0;
  const int forward_steps = static_cast<int>(steps.size());
  // The output is read after the forward steps.
  Value& y = value_of(reading_of(graph.output()).ref);
  y.last = std::max(y.last, forward_steps);
  if (training()) {
    Gradient& g = slot(graph.output());
    output_gradient = g.ref = new_activation(graph.shape_of(graph.output()));
    g.owned = true;
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
  input_gradient = slot(kNetworkInput).ref;
  if (input_gradient.region == Region::kActivation) value_of(input_gradient).last = static_cast<int>(steps.size());
}

void Lowering::forward(int index) {
  const Layer& l = layer(index);
  if (l.removed) return;
  lowering_of(l.spec.op).forward(*this, index);
}

void Lowering::backward(int index) {
  const Layer& l = layer(index);
  if (l.removed || gradient(index).ref.region == Region::kNone) return;
  lowering_of(l.spec.op).backward(*this, index);
}

}  // namespace sknet::plan
