// relu, sigmoid and add, where fusion left them on their own.
#include "plan/lower/layers.h"

namespace sknet::plan {

void copy(Lowering& low, Ref from, Ref to, int64_t size) {
  low.step("copy", "gradient", low.table.copy, PointwiseProblem{size}, 0,
           [=](const Memory& at) { return PointwiseForwardArgs{at(from), at(to)}; });
}

namespace {

using ForwardList = OpTable::List<PointwiseForward>;
using BackwardList = OpTable::List<PointwiseBackward>;

void unary_forward(Lowering& low, int index, const std::string& op, const ForwardList& candidates) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const Ref x = low.output_of(layer.inputs[0]), y = low.new_value(layer.shape.size());
  low.step(op, layer.spec.name, candidates, PointwiseProblem{layer.shape.size()}, layer.shape.size(),
           [=](const Memory& at) { return PointwiseForwardArgs{at(x), at(y)}; });
  low.saved(index).output = y;
}

void unary_backward(Lowering& low, int index, const std::string& op, const BackwardList& candidates) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Ref y = low.saved(index).output, dy = low.gradient(index);
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step(op, layer.spec.name, candidates, PointwiseProblem{layer.shape.size()}, layer.shape.size(),
           [=](const Memory& at) { return PointwiseBackwardArgs{at(y), at(dy), at(dx.ref), dx.accumulate}; });
}

void relu_forward(Lowering& low, int index) { unary_forward(low, index, "relu_forward", low.table.relu_forward); }
void relu_backward(Lowering& low, int index) { unary_backward(low, index, "relu_backward", low.table.relu_backward); }
void sigmoid_forward(Lowering& low, int index) { unary_forward(low, index, "sigmoid_forward", low.table.sigmoid_forward); }
void sigmoid_backward(Lowering& low, int index) { unary_backward(low, index, "sigmoid_backward", low.table.sigmoid_backward); }

void add_forward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const Ref a = low.output_of(layer.inputs[0]), b = low.output_of(layer.inputs[1]), y = low.new_value(layer.shape.size());
  low.step("add", layer.spec.name, low.table.add, PointwiseProblem{layer.shape.size()}, layer.shape.size(),
           [=](const Memory& at) { return AddArgs{at(a), at(b), at(y)}; });
  low.saved(index).output = y;
}

void add_backward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  for (const int input : layer.inputs) low.share_gradient(input, low.gradient(index));
}

}  // namespace

const LayerLowering relu_lowering{"relu", relu_forward, relu_backward};
const LayerLowering sigmoid_lowering{"sigmoid", sigmoid_forward, sigmoid_backward};
const LayerLowering add_lowering{"add", add_forward, add_backward};

}  // namespace sknet::plan
