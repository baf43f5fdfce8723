// The table of layers: how each kind is lowered. One file here a kind.
#pragma once

#include <string>

#include "plan/lowering.h"

namespace sknet::plan {

struct LayerLowering {
  const char* op;
  void (*forward)(Lowering&, int layer);
  void (*backward)(Lowering&, int layer);
  // Whether the layer can read input `from` through a batch norm that nobody applied. Null: no.
  bool (*reads_through_norm)(const Lowering&, int layer, int from);
  // Makes the output once more, in memory of its own, from what backward keeps anyway. Null: that costs too much.
  Ref (*output_again)(Lowering&, int layer) = nullptr;
};

extern const LayerLowering conv2d_lowering, linear_lowering, batch_norm_lowering, relu_lowering, sigmoid_lowering, add_lowering,
    max_pool_lowering, global_avg_pool_lowering, concat_lowering, channel_slice_lowering, channel_shuffle_lowering, channel_scale_lowering,
    sk_unit_lowering;

// Throws Error ERR_SKNET_MODEL for an op that is not in the table.
const LayerLowering& lowering_of(const std::string& op);

// ---- parts that several layers are made of

// y = a + b on `size` elements.
void add(Lowering& low, Ref a, Ref b, Ref y, int64_t size, const std::string& name);
// Loss, its gradient where the plan trains, and the hits; totals stand at the end of the results.
void loss(Lowering& low);

// y = the channels `problem` says, of xs, plus add.
void gather_channels(Lowering& low, const std::string& name, const ChannelGatherProblem& problem, const std::vector<Ref>& xs, Ref y,
                     Ref add = {});

Conv2dProblem conv2d_problem(const Shape& x, const Shape& y, int kernel, int stride, int padding, int dilation, int groups);
// Whether all readers of the network's input take it as NHWC rows.
bool reads_rows(const Lowering& low);
// Inference: whether convolution `index` is left to the batch norm behind it: conv2d_for_norm.
bool conv2d_joins_norm(const Lowering& low, int index);
void conv2d_for_norm(Lowering& low, int index, int norm_layer, Ref residual, Ref y);
// Whether the convolution that alone reads the output of SK unit `unit` makes it of the branches, in forward and for the gradient of its
// weights, so that the unit need not; why, where that was weighed, is in `note`.
bool conv2d_reads_branches(const Lowering& low, int unit, const SkSelectProblem& select, std::string* note);
// Whether convolution `index` reads the gradient of its output through the batch norm behind it; why, where that was weighed, is in `note`.
bool conv2d_reads_gradient_through_norm(const Lowering& low, int index, std::string* note);

// ---- batch norms that others work for: argument structs of ops/normalize.h

// Names the tensors <name>.weight and so on, and makes room for what the forward leaves.
Norm make_norm(Lowering& low, const std::string& name, int c, float eps);
// Makes room for what closing leaves.
void make_norm_gradient(Lowering& low, Norm& norm, int c);

// scale and shift from the running statistics.
void fold_norm(Lowering& low, const std::string& name, const Norm& norm, int c);

inline Normalize normalize(const Memory& at, const Reading& r) { return {at(r.scale), at(r.shift), r.relu}; }
inline Selection selection(const Memory& at, const BranchRefs& unit) {
  Selection s;
  for (int m = 0; m < unit.branches; ++m) {
    s.u[m] = at(unit.u[m]);
    s.scale[m] = at(unit.scale[m]);
    s.shift[m] = at(unit.shift[m]);
  }
  s.attention = at(unit.attention);
  return s;
}
inline Selection selection(const Memory& at, const Reading& r) { return r.unit == nullptr ? Selection{} : selection(at, *r.unit); }
inline NormStatistics norm_statistics(const Memory& at, const Norm& n) {
  return {at(n.gamma), at(n.beta), n.eps, at(n.mean), at(n.invstd), at(n.scale), at(n.shift), at(n.batch_mean), at(n.batch_var)};
}
inline NormClose norm_close(const Memory& at, const Norm& n, Ref add) {
  return {at(n.u),     n.relu,      at(n.output), at(add),     at(n.gamma), at(n.mean),  at(n.invstd),
          at(n.scale), at(n.shift), at(n.dgamma), at(n.dbeta), at(n.gain),  at(n.slope), at(n.offset)};
}
inline NormGradient norm_gradient(const Memory& at, const Norm& n) { return {at(n.u), at(n.mean), at(n.gain), at(n.slope), at(n.offset)}; }

}  // namespace sknet::plan
