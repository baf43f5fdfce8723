// sk_unit: split, fuse, the small attention network, select (DESIGN 4). Kept for backward: the raw branch outputs u, scale and shift,
// the attention, and per-image sums; BN + ReLU of the branches is never written.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

// Order of Saved::values.
enum Kept { kScale, kShift, kMean, kInvstd, kMask, kMaskU, kPooled, kReduced, kNormed, kNormMean, kNormInvstd, kLogits, kAttention, kU };

Ref branch_output(const std::vector<Ref>& kept, int m) { return kept[static_cast<size_t>(kU) + static_cast<size_t>(m)]; }

struct Unit {
  Unit(const Lowering& low, int index) : layer(low.graph.layers[static_cast<size_t>(index)]), x(low.graph.shape_of(layer.inputs[0])) {
    const LayerSpec& s = layer.spec;
    split.branches = branches = static_cast<int>(s.branches.size());
    split.eps = s.eps;
    for (int m = 0; m < branches; ++m) {
      const BranchSpec& b = s.branches[static_cast<size_t>(m)];
      split.conv[m] = conv2d_problem(x, layer.shape, b.kernel, s.stride, b.dilation * (b.kernel - 1) / 2, b.dilation, b.groups);
    }
    n = layer.shape.n;
    hw = layer.shape.h * layer.shape.w;
    c = layer.shape.c;
    d = s.attention_width;
    size = layer.shape.size();
    reduce = conv2d_problem({n, 1, 1, c}, {n, 1, 1, d}, 1, 1, 0, 1, 1);
    select = conv2d_problem({n, 1, 1, d}, {n, 1, 1, branches * c}, 1, 1, 0, 1, 1);
    norm = {n, d, s.eps, true, false};
  }
  int64_t macs() const {
    int64_t total = 0;
    for (int m = 0; m < branches; ++m) total += conv2d_macs(split.conv[m]);
    return total;
  }
  std::string path(int m, const char* tensor) const { return layer.spec.name + ".paths." + std::to_string(m) + tensor; }
  std::string attn(const char* tensor) const { return layer.spec.name + ".attn" + tensor; }

  const Layer& layer;
  const Shape x;
  SkSplitProblem split{};
  Conv2dProblem reduce{}, select{};
  BatchNormProblem norm{};
  int branches, n, hw, c, d;
  int64_t size;
};

struct BranchRefs {
  Ref weight[kMaxBranches], gamma[kMaxBranches], beta[kMaxBranches], mean[kMaxBranches], var[kMaxBranches], u[kMaxBranches];
};

// values: true for the tensors themselves, false for where their gradients and batch statistics go.
BranchRefs branch_refs(const Lowering& low, const Unit& unit, bool values) {
  BranchRefs r;
  const auto ref = [&](const std::string& name) { return values ? low.weight(name) : low.result(name); };
  for (int m = 0; m < unit.branches; ++m) {
    r.weight[m] = ref(unit.path(m, ".conv.weight"));
    r.gamma[m] = ref(unit.path(m, ".bn.weight"));
    r.beta[m] = ref(unit.path(m, ".bn.bias"));
    r.mean[m] = ref(unit.path(m, ".bn.running_mean"));
    r.var[m] = ref(unit.path(m, ".bn.running_var"));
  }
  return r;
}

void split_forward(Lowering& low, const Unit& unit, const std::vector<Ref>& kept) {
  const BranchRefs tensors = branch_refs(low, unit, true), results = branch_refs(low, unit, false);
  const Ref x = low.output_of(unit.layer.inputs[0]);
  const bool training = low.training();
  low.step("sk_split_forward", unit.layer.spec.name, low.table.sk_split_forward, unit.split, 2 * unit.macs(), [=](const Memory& at) {
    SkSplitForwardArgs a{};
    a.x = at(x);
    for (int m = 0; m < unit.branches; ++m) {
      a.weight[m] = at(tensors.weight[m]);
      a.gamma[m] = at(tensors.gamma[m]);
      a.beta[m] = at(tensors.beta[m]);
      a.u[m] = at(branch_output(kept, m));
      if (training) {
        a.batch_mean[m] = at(results.mean[m]);
        a.batch_var[m] = at(results.var[m]);
      } else {
        a.running_mean[m] = at(tensors.mean[m]);
        a.running_var[m] = at(tensors.var[m]);
      }
    }
    a.scale = at(kept[kScale]);
    a.shift = at(kept[kShift]);
    a.mean = at(kept[kMean]);
    a.invstd = at(kept[kInvstd]);
    return a;
  });
}

void attention_forward(Lowering& low, const Unit& unit, std::vector<Ref>& kept) {
  low.step("sk_fuse_forward", unit.layer.spec.name, low.table.sk_fuse_forward, SkFuseProblem{unit.branches, unit.n, unit.hw, unit.c},
           4 * unit.branches * unit.size, [=](const Memory& at) {
             SkFuseForwardArgs a{};
             for (int m = 0; m < unit.branches; ++m) a.u[m] = at(branch_output(kept, m));
             a.scale = at(kept[kScale]);
             a.shift = at(kept[kShift]);
             a.s = at(kept[kPooled]);
             a.mask = at(kept[kMask]);
             a.mask_u = at(kept[kMaskU]);
             return a;
           });
  conv2d_forward(low, unit.attn(".fc_reduce"), unit.reduce, kept[kPooled], low.weight(unit.attn(".fc_reduce.weight")), {}, kept[kReduced]);
  const BatchNormSaved saved = batch_norm_forward(low, unit.attn(".bn"), unit.norm, kept[kReduced], {}, kept[kNormed]);
  kept[kNormMean] = saved.mean;
  kept[kNormInvstd] = saved.invstd;
  conv2d_forward(low, unit.attn(".fc_select"), unit.select, kept[kNormed], low.weight(unit.attn(".fc_select.weight")), {}, kept[kLogits]);
}

void forward(Lowering& low, int index) {
  const Unit unit(low, index);
  const int64_t per_branch = static_cast<int64_t>(unit.branches) * unit.c, per_image = per_branch * unit.n;
  std::vector<Ref> kept(static_cast<size_t>(kU) + static_cast<size_t>(unit.branches));
  kept[kScale] = low.new_value(per_branch);
  kept[kShift] = low.new_value(per_branch);
  if (low.training()) {
    kept[kMean] = low.new_value(per_branch);
    kept[kInvstd] = low.new_value(per_branch);
  }
  for (int m = 0; m < unit.branches; ++m) kept[static_cast<size_t>(kU) + static_cast<size_t>(m)] = low.new_value(unit.size);
  split_forward(low, unit, kept);
  if (unit.d > 0) {
    kept[kMask] = low.new_value(per_image);
    kept[kMaskU] = low.new_value(per_image);
    kept[kPooled] = low.new_value(static_cast<int64_t>(unit.n) * unit.c);
    kept[kReduced] = low.new_value(static_cast<int64_t>(unit.n) * unit.d);
    kept[kNormed] = low.new_value(static_cast<int64_t>(unit.n) * unit.d);
    kept[kLogits] = low.new_value(per_image);
    kept[kAttention] = low.new_value(per_image);
    attention_forward(low, unit, kept);
  }
  const Ref v = low.new_value(unit.size);
  low.step("sk_select_forward", unit.layer.spec.name, low.table.sk_select_forward, SkSelectProblem{unit.branches, unit.n, unit.hw, unit.c},
           4 * unit.branches * unit.size, [=](const Memory& at) {
             SkSelectForwardArgs a{};
             for (int m = 0; m < unit.branches; ++m) a.u[m] = at(branch_output(kept, m));
             a.scale = at(kept[kScale]);
             a.shift = at(kept[kShift]);
             a.logits = at(kept[kLogits]);
             a.attention = at(kept[kAttention]);
             a.v = at(v);
             return a;
           });
  low.saved(index) = {v, kept};
}

// From the logits' gradient to the pooled sum's, through the small network. Returns ds.
Ref attention_backward(Lowering& low, const Unit& unit, const std::vector<Ref>& kept, Ref dlogits) {
  const auto fresh = [&](int64_t channels) { return low.new_value(channels * unit.n); };
  const std::string select = unit.attn(".fc_select"), reduce = unit.attn(".fc_reduce");
  conv2d_backward_weight(low, select, unit.select, kept[kNormed], dlogits, low.result(select + ".weight"), {});
  const Ref dnormed = fresh(unit.d), dreduced = fresh(unit.d), ds = fresh(unit.c);
  conv2d_backward_data(low, select, unit.select, dlogits, low.weight(select + ".weight"), {dnormed, false});
  batch_norm_backward(low, unit.attn(".bn"), unit.norm, {kept[kNormMean], kept[kNormInvstd]}, kept[kReduced], kept[kNormed], dnormed,
                      dreduced, {});
  conv2d_backward_weight(low, reduce, unit.reduce, kept[kPooled], dreduced, low.result(reduce + ".weight"), {});
  conv2d_backward_data(low, reduce, unit.reduce, dreduced, low.weight(reduce + ".weight"), {ds, false});
  return ds;
}

void backward(Lowering& low, int index) {
  const Unit unit(low, index);
  const std::vector<Ref> kept = low.saved(index).values;
  const Ref dv = low.gradient(index);
  const int64_t per_image = static_cast<int64_t>(unit.branches) * unit.c * unit.n;
  const Ref dv_mask = low.new_value(per_image), dv_mask_u = low.new_value(per_image);
  const Ref dlogits = unit.d > 0 ? low.new_value(per_image) : Ref{};
  low.step("sk_select_backward", unit.layer.spec.name, low.table.sk_select_backward,
           SkSelectProblem{unit.branches, unit.n, unit.hw, unit.c}, 5 * unit.branches * unit.size, [=](const Memory& at) {
             SkSelectBackwardArgs a{};
             for (int m = 0; m < unit.branches; ++m) a.u[m] = at(branch_output(kept, m));
             a.scale = at(kept[kScale]);
             a.shift = at(kept[kShift]);
             a.attention = at(kept[kAttention]);
             a.dv = at(dv);
             a.dv_mask = at(dv_mask);
             a.dv_mask_u = at(dv_mask_u);
             a.dlogits = at(dlogits);
             return a;
           });
  const Ref ds = unit.d > 0 ? attention_backward(low, unit, kept, dlogits) : Ref{};
  const BranchRefs tensors = branch_refs(low, unit, true), results = branch_refs(low, unit, false);
  const Ref x = low.output_of(unit.layer.inputs[0]);
  const int input = unit.layer.inputs[0];
  const Lowering::Target dx = low.needs_gradient(input) ? low.gradient_target(input) : Lowering::Target{};
  low.step("sk_split_backward", unit.layer.spec.name, low.table.sk_split_backward, unit.split, 4 * unit.macs(), [=](const Memory& at) {
    SkSplitBackwardArgs a{};
    a.x = at(x);
    for (int m = 0; m < unit.branches; ++m) {
      a.weight[m] = at(tensors.weight[m]);
      a.gamma[m] = at(tensors.gamma[m]);
      a.u[m] = at(branch_output(kept, m));
      a.dweight[m] = at(results.weight[m]);
      a.dgamma[m] = at(results.gamma[m]);
      a.dbeta[m] = at(results.beta[m]);
    }
    a.scale = at(kept[kScale]);
    a.shift = at(kept[kShift]);
    a.mean = at(kept[kMean]);
    a.invstd = at(kept[kInvstd]);
    a.dv = at(dv);
    a.attention = at(kept[kAttention]);
    a.ds = at(ds);
    a.mask = at(kept[kMask]);
    a.mask_u = at(kept[kMaskU]);
    a.dv_mask = at(dv_mask);
    a.dv_mask_u = at(dv_mask_u);
    a.dx = at(dx.ref);
    a.accumulate = dx.accumulate;
    return a;
  });
}

}  // namespace

const LayerLowering sk_unit_lowering{"sk_unit", forward, backward};

}  // namespace sknet::plan
