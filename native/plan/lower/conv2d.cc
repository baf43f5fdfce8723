// conv2d and linear; a linear layer is a 1x1 convolution of a 1x1 image. In passing they leave the statistics of a batch norm behind them,
// read their input through the one before, close its gradient, and read their own through the one behind (ops/normalize.h).
#include "plan/lower/layers.h"

namespace sknet::plan {

Conv2dProblem conv2d_problem(const Shape& x, const Shape& y, int kernel, int stride, int padding, int dilation, int groups) {
  return {x.n, x.h, x.w, x.c, y.c, kernel, stride, padding, dilation, groups, y.h, y.w};
}

namespace {

Conv2dProblem problem_of(const Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const LayerSpec& s = layer.spec;
  const bool linear = s.op == "linear";
  Conv2dProblem p = conv2d_problem(low.graph.shape_of(layer.inputs[0]), layer.shape, linear ? 1 : s.kernel, linear ? 1 : s.stride,
                                   linear ? 0 : s.padding, linear ? 1 : s.dilation, linear ? 1 : s.groups);
  p.fusion.x_rows = low.input_rows && layer.inputs[0] == kNetworkInput;
  return p;
}

bool is_convolution(const Layer& layer) { return layer.spec.op == "conv2d" || layer.spec.op == "linear"; }

bool forward_accepts(const Lowering& low, const Conv2dProblem& p) { return low.accepts("conv2d_forward", low.table.conv2d_forward, p); }
bool weight_accepts(const Lowering& low, const Conv2dProblem& p) {
  return low.accepts("conv2d_backward_weight", low.table.conv2d_backward_weight, p);
}
bool data_accepts(const Lowering& low, const Conv2dProblem& p) {
  return low.accepts("conv2d_backward_data", low.table.conv2d_backward_data, p);
}

bool reads_through_norm(const Lowering& low, int index, int) {
  Conv2dProblem p = problem_of(low, index);
  p.fusion.x_norm = true;
  return forward_accepts(low, p) && weight_accepts(low, p);
}

struct ConvRefs {
  Reading x;
  Ref weight, bias;
};

ConvRefs refs_of(const Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const std::string& name = layer.spec.name;
  return {low.reading_of(layer.inputs[0]), low.weight(name + ".weight"), layer.spec.bias ? low.weight(name + ".bias") : Ref{}};
}

void forward(Lowering& low, int index) {
  if (conv2d_joins_norm(low, index)) return;
  const Layer& layer = low.layer(index);
  const ConvRefs refs = refs_of(low, index);
  Conv2dProblem p = problem_of(low, index);
  p.fusion.x_norm = refs.x.through_norm();
  const Ref y = low.new_activation(layer.shape);
  low.saved(index).output = {.ref = y};
  const int behind = low.training() ? low.norm_behind(index) : kNone;
  p.fusion.statistics = behind != kNone;
  if (behind == kNone || !forward_accepts(low, p)) {
    p.fusion.statistics = false;
    low.step("conv2d_forward", layer.spec.name, low.table.conv2d_forward, p, 2 * conv2d_macs(p), [=](const Memory& at) {
      return Conv2dForwardArgs{at(refs.x.ref), normalize(at, refs.x), at(refs.weight), at(refs.bias), at(y), {}, {}, nullptr};
    });
    return;
  }
  const Layer& reader = low.layer(behind);
  Norm& norm = low.norm(behind) = make_norm(low, reader.spec.name, reader.shape.c, reader.spec.eps);
  norm.statistics = true;
  low.step("conv2d_forward", layer.spec.name, low.table.conv2d_forward, p, 2 * conv2d_macs(p), [=, norm = norm](const Memory& at) {
    return Conv2dForwardArgs{at(refs.x.ref), normalize(at, refs.x), at(refs.weight), at(refs.bias), at(y), norm_statistics(at, norm), {},
                             nullptr};
  });
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const std::string& name = layer.spec.name;
  const int input = layer.inputs[0];
  const ConvRefs refs = refs_of(low, index);
  const GradientReading dy = low.gradient(index);
  const Norm behind = dy.norm == kNone ? Norm{} : low.norm(dy.norm);
  const auto dy_norm = [=](const Memory& at) { return dy.norm == kNone ? NormGradient{} : norm_gradient(at, behind); };
  Conv2dProblem p = problem_of(low, index);
  p.fusion.dy_norm = dy.norm != kNone;
  p.fusion.x_norm = refs.x.through_norm();
  const Ref dweight = low.result(name + ".weight"), dbias = layer.spec.bias ? low.result(name + ".bias") : Ref{};
  low.step("conv2d_backward_weight", name, low.table.conv2d_backward_weight, p, 2 * conv2d_macs(p), [=](const Memory& at) {
    return Conv2dBackwardWeightArgs{at(refs.x.ref), normalize(at, refs.x), at(dy.ref), dy_norm(at), at(dweight), at(dbias)};
  });
  if (!low.needs_gradient(input)) return;
  p.fusion.x_norm = p.fusion.x_rows = false;
  p.fusion.close = true;
  const Lowering::Target dx = low.gradient_target(input, data_accepts(low, p));
  p.fusion.close = dx.close != kNone;
  Norm before{};
  if (dx.close != kNone) {
    make_norm_gradient(low, low.norm(dx.close), low.layer(dx.close).shape.c);
    before = low.norm(dx.close);
  }
  low.step("conv2d_backward_data", name, low.table.conv2d_backward_data, p, 2 * conv2d_macs(p), [=](const Memory& at) {
    const bool close = dx.close != kNone;
    return Conv2dBackwardDataArgs{at(dy.ref),
                                  dy_norm(at),
                                  at(refs.weight),
                                  at(dx.ref),
                                  close ? nullptr : at(dx.add),
                                  close ? norm_close(at, before, dx.add) : NormClose{}};
  });
}

}  // namespace

bool reads_rows(const Lowering& low) {
  // More channels than a block holds are read faster blocked.
  if (!low.spec.fuse || low.graph.input.c >= padded_channels(1, low.table.block) || low.readers_of(kNetworkInput).empty()) return false;
  for (const int reader : low.readers_of(kNetworkInput)) {
    if (low.layer(reader).spec.op != "conv2d") return false;
    Conv2dProblem p = problem_of(low, reader);
    p.fusion.x_rows = true;
    if (!forward_accepts(low, p) || !weight_accepts(low, p)) return false;
  }
  return true;
}

bool conv2d_joins_norm(const Lowering& low, int index) {
  if (low.training() || low.norm_behind(index) == kNone || !is_convolution(low.layer(index))) return false;
  Conv2dProblem p = problem_of(low, index);
  p.fusion.y_norm = true;
  return forward_accepts(low, p);
}

void conv2d_for_norm(Lowering& low, int index, int norm_layer, Ref residual, Ref y) {
  const ConvRefs refs = refs_of(low, index);
  Conv2dProblem p = problem_of(low, index);
  p.fusion.y_norm = true;
  const Norm norm = low.norm(norm_layer);
  low.step("conv2d_forward", low.layer(index).spec.name, low.table.conv2d_forward, p, 2 * conv2d_macs(p), [=](const Memory& at) {
    return Conv2dForwardArgs{at(refs.x.ref), {}, at(refs.weight), at(refs.bias), at(y), {}, {at(norm.scale), at(norm.shift), norm.relu},
                             at(residual)};
  });
}

bool conv2d_reads_gradient_through_norm(const Lowering& low, int index) {
  if (low.norm_behind(index) == kNone || !is_convolution(low.layer(index))) return false;
  // Not where a candidate of its own that is faster but reads plain gradients would have to stand back for it.
  const auto still = [&](const std::string& op, const auto& candidates, Conv2dProblem p) {
    const auto* plain = low.candidate(op, candidates, p);
    p.fusion.dy_norm = true;
    return plain != nullptr && low.candidate(op, candidates, p) == plain;
  };
  Conv2dProblem p = problem_of(low, index);
  p.fusion.x_norm = low.reading_of(low.layer(index).inputs[0]).through_norm();
  if (!still("conv2d_backward_weight", low.table.conv2d_backward_weight, p)) return false;
  p.fusion.x_norm = p.fusion.x_rows = false;
  return !low.needs_gradient(low.layer(index).inputs[0]) || still("conv2d_backward_data", low.table.conv2d_backward_data, p);
}

const LayerLowering conv2d_lowering{"conv2d", forward, backward, reads_through_norm};
const LayerLowering linear_lowering{"linear", forward, backward, reads_through_norm};

}  // namespace sknet::plan
