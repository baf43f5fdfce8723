// conv2d and linear; a linear layer is a 1x1 convolution of a 1x1 image.
#include "plan/lower/layers.h"

namespace sknet::plan {

Conv2dProblem conv2d_problem(const Shape& x, const Shape& y, int kernel, int stride, int padding, int dilation, int groups) {
  return {x.n, x.h, x.w, x.c, y.c, kernel, stride, padding, dilation, groups, y.h, y.w};
}

void conv2d_forward(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref x, Ref weight, Ref bias, Ref y) {
  low.step("conv2d_forward", layer, low.table.conv2d_forward, p, 2 * conv2d_macs(p),
           [=](const Memory& at) { return Conv2dForwardArgs{at(x), at(weight), at(bias), at(y)}; });
}

void conv2d_backward_data(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref dy, Ref weight, Lowering::Target dx) {
  low.step("conv2d_backward_data", layer, low.table.conv2d_backward_data, p, 2 * conv2d_macs(p),
           [=](const Memory& at) { return Conv2dBackwardDataArgs{at(dy), at(weight), at(dx.ref), dx.accumulate}; });
}

void conv2d_backward_weight(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref x, Ref dy, Ref dweight, Ref dbias) {
  low.step("conv2d_backward_weight", layer, low.table.conv2d_backward_weight, p, 2 * conv2d_macs(p),
           [=](const Memory& at) { return Conv2dBackwardWeightArgs{at(x), at(dy), at(dweight), at(dbias)}; });
}

namespace {

Conv2dProblem problem_of(const Lowering& low, const Layer& layer) {
  const LayerSpec& s = layer.spec;
  const bool linear = s.op == "linear";
  return conv2d_problem(low.graph.shape_of(layer.inputs[0]), layer.shape, linear ? 1 : s.kernel, linear ? 1 : s.stride,
                        linear ? 0 : s.padding, linear ? 1 : s.dilation, linear ? 1 : s.groups);
}

void forward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const std::string& name = layer.spec.name;
  const Ref y = low.new_value(layer.shape.size());
  conv2d_forward(low, name, problem_of(low, layer), low.output_of(layer.inputs[0]), low.weight(name + ".weight"),
                 layer.spec.bias ? low.weight(name + ".bias") : Ref{}, y);
  low.saved(index).output = y;
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const std::string& name = layer.spec.name;
  const Conv2dProblem p = problem_of(low, layer);
  const Ref dy = low.gradient(index);
  conv2d_backward_weight(low, name, p, low.output_of(layer.inputs[0]), dy, low.result(name + ".weight"),
                         layer.spec.bias ? low.result(name + ".bias") : Ref{});
  if (low.needs_gradient(layer.inputs[0]))
    conv2d_backward_data(low, name, p, dy, low.weight(name + ".weight"), low.gradient_target(layer.inputs[0]));
}

}  // namespace

const LayerLowering conv2d_lowering{"conv2d", forward, backward};
const LayerLowering linear_lowering{"linear", forward, backward};

}  // namespace sknet::plan
