// channel_scale: inputs x and gate.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

ChannelScaleProblem problem_of(const Layer& layer) { return {layer.shape.n, layer.shape.h * layer.shape.w, layer.shape.c}; }

void forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Ref x = low.reading_of(layer.inputs[0]).ref, gate = low.reading_of(layer.inputs[1]).ref, y = low.new_activation(layer.shape);
  low.step("channel_scale_forward", layer.spec.name, low.table.channel_scale_forward, problem_of(layer), layer.shape.size(),
           [=](const Memory& at) { return ChannelScaleForwardArgs{at(x), at(gate), at(y)}; });
  low.saved(index).output = {.ref = y};
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Ref x = low.reading_again(layer.inputs[0]).ref, gate = low.reading_again(layer.inputs[1]).ref, dy = low.gradient(index).ref;
  const auto target = [&](int input) {
    return low.needs_gradient(input) ? low.gradient_target(input) : Lowering::Target{.ref = low.new_activation(low.graph.shape_of(input))};
  };
  const Lowering::Target dx = target(layer.inputs[0]), dgate = target(layer.inputs[1]);
  low.step("channel_scale_backward", layer.spec.name, low.table.channel_scale_backward, problem_of(layer), 3 * layer.shape.size(),
           [=](const Memory& at) {
             return ChannelScaleBackwardArgs{at(x), at(gate), at(dy), at(dx.ref), at(dgate.ref), at(dx.add), at(dgate.add)};
           });
}

}  // namespace

const LayerLowering channel_scale_lowering{"channel_scale", forward, backward, nullptr};

}  // namespace sknet::plan
