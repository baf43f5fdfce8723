// relu, sigmoid and add, where fusion left them on their own.
#include "plan/lower/layers.h"

namespace sknet::plan {

void add(Lowering& low, Ref a, Ref b, Ref y, int64_t size, const std::string& name) {
  low.step("add", name, low.table.add, PointwiseProblem{size}, size, [=](const Memory& at) { return AddArgs{at(a), at(b), at(y)}; });
}

namespace {

using ForwardList = OpTable::List<PointwiseForward>;
using BackwardList = OpTable::List<PointwiseBackward>;

void unary_forward(Lowering& low, int index, const std::string& op, const ForwardList& candidates) {
  const Layer& layer = low.layer(index);
  const Ref x = low.reading_of(layer.inputs[0]).ref, y = low.new_activation(layer.shape);
  low.step(op, layer.spec.name, candidates, PointwiseProblem{low.elements(layer.shape)}, layer.shape.size(),
           [=](const Memory& at) { return PointwiseForwardArgs{at(x), at(y)}; });
  low.saved(index).output = {.ref = y};
}

void unary_backward(Lowering& low, int index, const std::string& op, const BackwardList& candidates) {
  const Layer& layer = low.layer(index);
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Ref y = low.saved(index).output.ref, dy = low.gradient(index).ref;
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step(op, layer.spec.name, candidates, PointwiseProblem{low.elements(layer.shape)}, layer.shape.size(),
           [=](const Memory& at) { return PointwiseBackwardArgs{at(y), at(dy), at(dx.ref), at(dx.add)}; });
}

void relu_forward(Lowering& low, int index) { unary_forward(low, index, "relu_forward", low.table.relu_forward); }
void relu_backward(Lowering& low, int index) { unary_backward(low, index, "relu_backward", low.table.relu_backward); }
void sigmoid_forward(Lowering& low, int index) { unary_forward(low, index, "sigmoid_forward", low.table.sigmoid_forward); }
void sigmoid_backward(Lowering& low, int index) { unary_backward(low, index, "sigmoid_backward", low.table.sigmoid_backward); }

void add_forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Ref y = low.new_activation(layer.shape);
  add(low, low.reading_of(layer.inputs[0]).ref, low.reading_of(layer.inputs[1]).ref, y, low.elements(layer.shape), layer.spec.name);
  low.saved(index).output = {.ref = y};
}

void add_backward(Lowering& low, int index) {
  for (const int input : low.layer(index).inputs) low.share_gradient(input, low.gradient(index).ref);
}

}  // namespace

const LayerLowering relu_lowering{"relu", relu_forward, relu_backward, nullptr};
const LayerLowering sigmoid_lowering{"sigmoid", sigmoid_forward, sigmoid_backward, nullptr};
const LayerLowering add_lowering{"add", add_forward, add_backward, nullptr};

}  // namespace sknet::plan
