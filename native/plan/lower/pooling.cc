// max_pool and global_avg_pool.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

MaxPoolProblem max_problem(const Lowering& low, const Layer& layer) {
  const Shape& x = low.graph.shape_of(layer.inputs[0]);
  return {x.n, x.h, x.w, x.c, layer.spec.kernel, layer.spec.stride, layer.spec.padding, layer.shape.h, layer.shape.w};
}

void max_forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Reading x = low.reading_of(layer.inputs[0]);
  const Ref y = low.new_activation(layer.shape);
  low.step("max_pool_forward", layer.spec.name, low.table.max_pool_forward, max_problem(low, layer),
           layer.shape.size() * layer.spec.kernel * layer.spec.kernel,
           [=](const Memory& at) { return MaxPoolForwardArgs{at(x.ref), normalize(at, x), at(y)}; });
  low.saved(index).output = {.ref = y};
}

void max_backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Reading x = low.reading_again(layer.inputs[0]);
  const Ref y = low.saved(index).output.ref, dy = low.gradient(index).ref;
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step("max_pool_backward", layer.spec.name, low.table.max_pool_backward, max_problem(low, layer),
           layer.shape.size() * layer.spec.kernel * layer.spec.kernel,
           [=](const Memory& at) { return MaxPoolBackwardArgs{at(x.ref), normalize(at, x), at(y), at(dy), at(dx.ref), at(dx.add)}; });
}

bool max_reads_through_norm(const Lowering&, int, int) { return true; }

GlobalAvgPoolProblem average_problem(const Lowering& low, const Layer& layer) {
  const Shape& x = low.graph.shape_of(layer.inputs[0]);
  return {x.n, x.h * x.w, x.c};
}

void average_forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Ref x = low.reading_of(layer.inputs[0]).ref, y = low.new_activation(layer.shape);
  low.step("global_avg_pool_forward", layer.spec.name, low.table.global_avg_pool_forward, average_problem(low, layer),
           low.graph.shape_of(layer.inputs[0]).size(), [=](const Memory& at) { return GlobalAvgPoolForwardArgs{at(x), at(y)}; });
  low.saved(index).output = {.ref = y};
}

void average_backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  if (!low.needs_gradient(layer.inputs[0])) return;
  const Ref dy = low.gradient(index).ref;
  const Lowering::Target dx = low.gradient_target(layer.inputs[0]);
  low.step("global_avg_pool_backward", layer.spec.name, low.table.global_avg_pool_backward, average_problem(low, layer),
           low.graph.shape_of(layer.inputs[0]).size(),
           [=](const Memory& at) { return GlobalAvgPoolBackwardArgs{at(dy), at(dx.ref), at(dx.add)}; });
}

}  // namespace

const LayerLowering max_pool_lowering{"max_pool", max_forward, max_backward, max_reads_through_norm};
const LayerLowering global_avg_pool_lowering{"global_avg_pool", average_forward, average_backward, nullptr};

}  // namespace sknet::plan
