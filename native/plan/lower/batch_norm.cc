// batch_norm, with the residual addition and the ReLU that fusion may have folded in.
#include "plan/lower/layers.h"

namespace sknet::plan {

BatchNormSaved batch_norm_forward(Lowering& low, const std::string& name, const BatchNormProblem& p, Ref x, Ref residual, Ref y) {
  const Ref gamma = low.weight(name + ".weight"), beta = low.weight(name + ".bias");
  const int64_t flops = 4 * p.rows * p.c;
  if (!low.training()) {
    const Ref mean = low.weight(name + ".running_mean"), var = low.weight(name + ".running_var");
    low.step("batch_norm_inference", name, low.table.batch_norm_inference, p, flops,
             [=](const Memory& at) { return BatchNormInferenceArgs{at(x), at(gamma), at(beta), at(mean), at(var), at(residual), at(y)}; });
    return {};
  }
  const BatchNormSaved saved{low.new_value(p.c), low.new_value(p.c)};
  const Ref batch_mean = low.result(name + ".running_mean"), batch_var = low.result(name + ".running_var");
  low.step("batch_norm_forward", name, low.table.batch_norm_forward, p, 2 * flops, [=](const Memory& at) {
    return BatchNormForwardArgs{at(x),          at(gamma),        at(beta),       at(residual), at(y),
                                at(saved.mean), at(saved.invstd), at(batch_mean), at(batch_var)};
  });
  return saved;
}

void batch_norm_backward(Lowering& low, const std::string& name, const BatchNormProblem& p, const BatchNormSaved& saved, Ref x, Ref y,
                         Ref dy, Ref dx, Lowering::Target dresidual) {
  const Ref gamma = low.weight(name + ".weight"), beta = low.weight(name + ".bias");
  const Ref dgamma = low.result(name + ".weight"), dbeta = low.result(name + ".bias");
  // The output is only needed for the mask behind a residual; not touching it otherwise lets its memory go.
  const Ref mask = p.relu && p.residual ? y : Ref{};
  low.step("batch_norm_backward", name, low.table.batch_norm_backward, p, 12 * p.rows * p.c, [=](const Memory& at) {
    return BatchNormBackwardArgs{at(x),          at(mask),         at(dy), at(gamma),         at(beta),
                                 at(saved.mean), at(saved.invstd), at(dx), at(dresidual.ref), dresidual.accumulate,
                                 at(dgamma),     at(dbeta)};
  });
}

namespace {

BatchNormProblem problem_of(const Layer& layer) {
  return {layer.shape.rows(), layer.shape.c, layer.spec.eps, layer.relu, layer.residual != kNone};
}

void forward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const Ref y = low.new_value(layer.shape.size());
  const Ref residual = layer.residual == kNone ? Ref{} : low.output_of(layer.residual);
  const BatchNormSaved saved = batch_norm_forward(low, layer.spec.name, problem_of(layer), low.output_of(layer.inputs[0]), residual, y);
  low.saved(index) = {y, {saved.mean, saved.invstd}};
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.graph.layers[static_cast<size_t>(index)];
  const BatchNormProblem p = problem_of(layer);
  const std::vector<Ref>& saved = low.saved(index).values;
  const Ref dy = low.gradient(index);
  Lowering::Target dresidual{};
  if (p.residual && low.needs_gradient(layer.residual)) {
    if (p.relu) {
      dresidual = low.gradient_target(layer.residual);
    } else {
      low.share_gradient(layer.residual, dy);
    }
  }
  const int input = layer.inputs[0];
  const auto emit = [&](Ref dx) {
    batch_norm_backward(low, layer.spec.name, p, {saved[0], saved[1]}, low.output_of(input), low.saved(index).output, dy, dx, dresidual);
  };
  if (low.needs_gradient(input)) {
    low.emit_gradient(input, layer.spec.name, emit);
  } else {
    emit(low.new_value(layer.shape.size()));
  }
}

}  // namespace

const LayerLowering batch_norm_lowering{"batch_norm", forward, backward};

}  // namespace sknet::plan
