// batch_norm, with the residual addition and the ReLU that fusion may have folded in. Much of it is done by its neighbours; here is what
// they left (ops/batch_norm.h).
#include "plan/lower/layers.h"

namespace sknet::plan {

Norm make_norm(Lowering& low, const std::string& name, int c, float eps) {
  Norm n{.gamma = low.weight(name + ".weight"),
         .beta = low.weight(name + ".bias"),
         .running_mean = low.weight(name + ".running_mean"),
         .running_var = low.weight(name + ".running_var"),
         .scale = low.new_channels(c),
         .shift = low.new_channels(c),
         .eps = eps};
  if (low.training()) {
    n.dgamma = low.result(name + ".weight");
    n.dbeta = low.result(name + ".bias");
    n.batch_mean = low.result(name + ".running_mean");
    n.batch_var = low.result(name + ".running_var");
    n.mean = low.new_channels(c);
    n.invstd = low.new_channels(c);
  }
  return n;
}

void make_norm_gradient(Lowering& low, Norm& norm, int c) {
  norm.gain = low.new_channels(c);
  norm.slope = low.new_channels(c);
  norm.offset = low.new_channels(c);
}

void fold_norm(Lowering& low, const std::string& name, const Norm& norm, int c) {
  low.step("batch_norm_fold", name, low.table.batch_norm_fold, BatchNormProblem{1, 1, c}, 4 * c, [=](const Memory& at) {
    return BatchNormFoldArgs{at(norm.gamma), at(norm.beta),  at(norm.running_mean), at(norm.running_var),
                             norm.eps,       at(norm.scale), at(norm.shift)};
  });
}

namespace {

BatchNormProblem problem_of(const Layer& layer) { return {layer.shape.n, layer.shape.h * layer.shape.w, layer.shape.c}; }

// Nobody needs y = relu?(z) itself: all readers read u through the norm.
bool all_read_through(const Lowering& low, int index) {
  const std::vector<int>& readers = low.readers_of(index);
  if (!low.spec.fuse || !low.training() || readers.empty() || index == low.graph.output()) return false;
  for (const int reader : readers) {
    const auto reads = lowering_of(low.layer(reader).spec.op).reads_through_norm;
    if (reads == nullptr || !reads(low, reader, index)) return false;
  }
  return true;
}

// As the residual that a batch norm adds.
bool reads_through_norm(const Lowering& low, int index, int from) {
  const Layer& layer = low.layer(index);
  return layer.residual == from && layer.inputs[0] != from;
}

void forward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const int input = layer.inputs[0];
  const BatchNormProblem p = problem_of(layer);
  const int64_t size = layer.shape.size();
  const std::string& name = layer.spec.name;
  if (!low.norm(index).statistics) low.norm(index) = make_norm(low, name, p.c, layer.spec.eps);
  Norm& norm = low.norm(index);
  norm.relu = layer.relu;
  const Reading residual = layer.residual == kNone ? Reading{} : low.reading_of(layer.residual);
  if (!low.training()) {
    fold_norm(low, name, norm, p.c);
    if (input >= 0 && conv2d_joins_norm(low, input)) {
      const Ref y = low.new_activation(layer.shape);
      conv2d_for_norm(low, input, index, residual.ref, y);
      low.saved(index).output = {.ref = y};
      return;
    }
  }
  norm.u = low.reading_of(input).ref;
  low.stay(input);
  if (low.training() && !norm.statistics) {
    low.step("batch_norm_statistics", name, low.table.batch_norm_statistics, p, 3 * size,
             [norm = norm](const Memory& at) { return BatchNormStatisticsArgs{at(norm.u), norm_statistics(at, norm)}; });
  }
  if (layer.residual == kNone && all_read_through(low, index)) {
    low.saved(index).output = {norm.u, norm.scale, norm.shift, norm.relu};
    return;
  }
  const Ref y = low.new_activation(layer.shape);
  low.step("batch_norm_apply", name, low.table.batch_norm_apply, p, 3 * size, [=, norm = norm](const Memory& at) {
    return BatchNormApplyArgs{at(norm.u), {at(norm.scale), at(norm.shift), false}, at(residual.ref), normalize(at, residual), norm.relu,
                              at(y)};
  });
  low.saved(index).output = {.ref = y};
  if (layer.residual != kNone) norm.output = y;
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const int input = layer.inputs[0];
  const BatchNormProblem p = problem_of(layer);
  Norm& norm = low.norm(index);
  Ref dz = low.gradient(index).ref;
  if (!norm.closed) {
    make_norm_gradient(low, norm, p.c);
    const Ref dy = dz;
    // Without a ReLU dz is dy: nothing is written.
    if (norm.relu) dz = low.new_activation(layer.shape);
    const Ref written = norm.relu ? dz : Ref{};
    low.step("batch_norm_close", layer.spec.name, low.table.batch_norm_close, p, 6 * layer.shape.size(),
             [=, norm = norm](const Memory& at) { return BatchNormCloseArgs{at(dy), norm_close(at, norm, {}), at(written)}; });
  }
  if (layer.residual != kNone) low.share_gradient(layer.residual, dz);
  std::string note;
  if (input >= 0 && conv2d_reads_gradient_through_norm(low, input, &note)) return low.share_through_norm(input, dz, index);
  if (!low.needs_gradient(input)) return;
  const Lowering::Target dx = low.gradient_target(input);
  const bool alone = dx.add.region == Region::kNone;
  const Ref du = alone ? dx.ref : low.new_activation(layer.shape);
  low.step(
      "batch_norm_gradient", layer.spec.name, low.table.batch_norm_gradient, p, 5 * layer.shape.size(),
      [=, norm = norm](const Memory& at) { return BatchNormGradientArgs{at(dz), norm_gradient(at, norm), at(du)}; }, note);
  if (!alone) add(low, dx.add, du, dx.ref, low.elements(layer.shape), layer.spec.name);
}

}  // namespace

const LayerLowering batch_norm_lowering{"batch_norm", forward, backward, reads_through_norm};

}  // namespace sknet::plan
