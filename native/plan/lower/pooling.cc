// max_pool and global_avg_pool.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

MaxPoolProblem max_problem(const Lowering& low, const Layer& layer) {
  const Shape& x = low.graph.shape_of(layer.inputs[0]);
  return {x.n, x.h, x.w, x.c, layer.spec.kernel, layer.spec.stride, layer.spec.padding, layer.shape.h, layer.shape.w};
}

void max_forward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const Ref x = low.output_of(layer.inputs[0]), y = low.new_value(layer.shape.size());
  low.step("max_pool_forward", layer.spec.name, low.table.max_pool_forward, max_problem(low, layer),
           layer.shape.size() * layer.spec.kernel * layer.spec.kernel, [=](const Memory& at) { return MaxPoolForwardArgs{at(x), at(y)}; });
  low.saved(index).output = y;
}

void max_backward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Ref x = low.output_of(layer.inputs[0]), y = low.saved(index).output, dy = low.gradient(index);
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step("max_pool_backward", layer.spec.name, low.table.max_pool_backward, max_problem(low, layer),
           layer.shape.size() * layer.spec.kernel * layer.spec.kernel,
           [=](const Memory& at) { return MaxPoolBackwardArgs{at(x), at(y), at(dy), at(dx.ref), dx.accumulate}; });
}

GlobalAvgPoolProblem average_problem(const Lowering& low, const Layer& layer) {
  const Shape& x = low.graph.shape_of(layer.inputs[0]);
  return {x.n, x.h * x.w, x.c};
}

void average_forward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const Ref x = low.output_of(layer.inputs[0]), y = low.new_value(layer.shape.size());
  low.step("global_avg_pool_forward", layer.spec.name, low.table.global_avg_pool_forward, average_problem(low, layer),
           low.graph.shape_of(layer.inputs[0]).size(), [=](const Memory& at) { return GlobalAvgPoolForwardArgs{at(x), at(y)}; });
  low.saved(index).output = y;
}

void average_backward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Ref dy = low.gradient(index);
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step("global_avg_pool_backward", layer.spec.name, low.table.global_avg_pool_backward, average_problem(low, layer),
           low.graph.shape_of(layer.inputs[0]).size(),
           [=](const Memory& at) { return GlobalAvgPoolBackwardArgs{at(dy), at(dx.ref), dx.accumulate}; });
}

}  // namespace

const LayerLowering max_pool_lowering{"max_pool", max_forward, max_backward};
const LayerLowering global_avg_pool_lowering{"global_avg_pool", average_forward, average_backward};

}  // namespace sknet::plan
