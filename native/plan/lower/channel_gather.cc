// concat, channel_slice, channel_shuffle: all the op channel_gather. A shuffle may have taken over the concatenation before it (fuse.cc).
#include "plan/lower/layers.h"

namespace sknet::plan {

void gather_channels(Lowering& low, const std::string& name, const ChannelGatherProblem& problem, const std::vector<Ref>& xs, Ref y,
                     Ref add) {
  const int64_t size = static_cast<int64_t>(problem.n) * problem.hw * problem.out;
  low.step("channel_gather_forward", name, low.table.channel_gather_forward, problem, add.region == Region::kNone ? 0 : size,
           [=](const Memory& at) {
             ChannelGatherForwardArgs a{};
             for (size_t i = 0; i < xs.size(); ++i) a.x[i] = at(xs[i]);
             a.y = at(y);
             a.add = at(add);
             return a;
           });
}

namespace {

ChannelGatherProblem problem_of(const Lowering& low, const Layer& layer) {
  ChannelGatherProblem p{.n = layer.shape.n,
                         .hw = layer.shape.h * layer.shape.w,
                         .sources = static_cast<int>(layer.inputs.size()),
                         .c = {},
                         .first = layer.spec.first,
                         .out = layer.shape.c,
                         .groups = layer.spec.groups};
  for (int i = 0; i < p.sources; ++i) p.c[i] = low.graph.shape_of(layer.inputs[static_cast<size_t>(i)]).c;
  return p;
}

void forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  std::vector<Ref> xs;
  for (const int input : layer.inputs) xs.push_back(low.reading_of(input).ref);
  const Ref y = low.new_activation(layer.shape);
  gather_channels(low, layer.spec.name, problem_of(low, layer), xs, y);
  low.saved(index).output = {.ref = y};
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const Ref dy = low.gradient(index).ref;
  const ChannelGatherProblem p = problem_of(low, layer);
  for (int source = 0; source < p.sources; ++source) {
    const int input = layer.inputs[static_cast<size_t>(source)];
    if (!low.needs_gradient(input)) continue;
    const Lowering::Target dx = low.gradient_target(input);
    low.step("channel_gather_backward", layer.spec.name, low.table.channel_gather_backward, p, 0,
             [=](const Memory& at) { return ChannelGatherBackwardArgs{source, at(dy), at(dx.ref), at(dx.add)}; });
  }
}

}  // namespace

const LayerLowering concat_lowering{"concat", forward, backward, nullptr};
const LayerLowering channel_slice_lowering{"channel_slice", forward, backward, nullptr};
const LayerLowering channel_shuffle_lowering{"channel_shuffle", forward, backward, nullptr};

}  // namespace sknet::plan
