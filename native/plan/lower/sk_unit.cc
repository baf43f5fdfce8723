// sk_unit: split, fuse, the small attention network, select (DESIGN 4). Kept for backward: the raw branch outputs u, scale and shift,
// the attention, and per-image sums; BN + ReLU of the branches is never written.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

// What the forward keeps.
struct Kept {
  Ref mask, mask_u, s, reduced, normed, attention;
  Ref u[kMaxBranches];
  Norm norm[kMaxBranches];
};

struct Unit {
  Unit(const Lowering& low, int index) : layer(low.layer(index)), x(low.graph.shape_of(layer.inputs[0])) {
    const LayerSpec& s = layer.spec;
    split.branches = branches = static_cast<int>(s.branches.size());
    for (int m = 0; m < branches; ++m) {
      const BranchSpec& b = s.branches[static_cast<size_t>(m)];
      split.conv[m] = conv2d_problem(x, layer.shape, b.kernel, s.stride, b.dilation * (b.kernel - 1) / 2, b.dilation, b.groups);
      macs += conv2d_macs(split.conv[m]);
    }
    split.x_norm = low.reading_of(layer.inputs[0]).through_norm();
    n = layer.shape.n;
    hw = layer.shape.h * layer.shape.w;
    c = layer.shape.c;
    d = s.attention_width;
    size = layer.shape.size();
    sums = static_cast<int64_t>(branches) * n * padded_channels(c, low.table.block);
    attention = {branches, n, c, d, s.eps};
  }
  std::string path(int m, const char* tensor) const { return layer.spec.name + ".paths." + std::to_string(m) + tensor; }
  std::string attn(const char* tensor) const { return layer.spec.name + ".attn" + tensor; }

  const Layer& layer;
  const Shape x;
  SkSplitProblem split{};
  SkAttentionProblem attention{};
  int branches, n, hw, c, d;
  int64_t size, sums, macs = 0;  // sums: [M, n, C]
};

bool reads_through_norm(const Lowering& low, int index, int) {
  SkSplitProblem p = Unit(low, index).split;
  p.x_norm = true;
  return low.accepts("sk_split_forward", low.table.sk_split_forward, p) && low.accepts("sk_split_backward", low.table.sk_split_backward, p);
}

struct BranchRefs {
  Ref weight[kMaxBranches], dweight[kMaxBranches];
};

BranchRefs branch_refs(const Lowering& low, const Unit& unit) {
  BranchRefs r;
  for (int m = 0; m < unit.branches; ++m) {
    r.weight[m] = low.weight(unit.path(m, ".conv.weight"));
    r.dweight[m] = low.result(unit.path(m, ".conv.weight"));
  }
  return r;
}

// The u, scale and shift of all branches, as the structs of three ops name them.
template <class Args>
void set_branches(const Memory& at, const Unit& unit, const Kept& kept, Args& a) {
  for (int m = 0; m < unit.branches; ++m) {
    a.u[m] = at(kept.u[m]);
    a.scale[m] = at(kept.norm[m].scale);
    a.shift[m] = at(kept.norm[m].shift);
  }
}

double* doubles(float* memory) { return reinterpret_cast<double*>(memory); }

void split_forward(Lowering& low, const Unit& unit, const Kept& kept) {
  const BranchRefs tensors = branch_refs(low, unit);
  const Reading x = low.reading_of(unit.layer.inputs[0]);
  const bool training = low.training();
  low.step("sk_split_forward", unit.layer.spec.name, low.table.sk_split_forward, unit.split, 2 * unit.macs, [=](const Memory& at) {
    SkSplitForwardArgs a{};
    a.x = at(x.ref);
    a.x_norm = normalize(at, x);
    for (int m = 0; m < unit.branches; ++m) {
      a.weight[m] = at(tensors.weight[m]);
      a.u[m] = at(kept.u[m]);
      if (training) a.statistics[m] = norm_statistics(at, kept.norm[m]);
    }
    return a;
  });
  if (training) return;
  for (int m = 0; m < unit.branches; ++m) fold_norm(low, unit.path(m, ".bn"), kept.norm[m], unit.c);
}

void fuse_forward(Lowering& low, const Unit& unit, const Kept& kept) {
  low.step("sk_fuse_forward", unit.layer.spec.name, low.table.sk_fuse_forward, SkFuseProblem{unit.branches, unit.n, unit.hw, unit.c},
           4 * unit.branches * unit.size, [=](const Memory& at) {
             SkFuseForwardArgs a{};
             set_branches(at, unit, kept, a);
             a.s = doubles(at(kept.s));
             a.mask = doubles(at(kept.mask));
             a.mask_u = doubles(at(kept.mask_u));
             return a;
           });
}

int64_t attention_macs(const Unit& unit) { return static_cast<int64_t>(unit.n) * unit.d * unit.c * (1 + unit.branches); }

struct AttentionRefs {
  Ref reduce, gamma, beta, running_mean, running_var, select;
};

AttentionRefs attention_refs(const Unit& unit, const auto& ref) {
  return {ref(unit.attn(".fc_reduce.weight")), ref(unit.attn(".bn.weight")),      ref(unit.attn(".bn.bias")),
          ref(unit.attn(".bn.running_mean")),  ref(unit.attn(".bn.running_var")), ref(unit.attn(".fc_select.weight"))};
}

void attention_forward(Lowering& low, const Unit& unit, const Kept& kept) {
  const AttentionRefs tensors = attention_refs(unit, [&](const std::string& name) { return low.weight(name); });
  const bool training = low.training();
  const AttentionRefs results =
      training ? attention_refs(unit, [&](const std::string& name) { return low.result(name); }) : AttentionRefs{};
  low.step("sk_attention_forward", unit.layer.spec.name, low.table.sk_attention_forward, unit.attention, 2 * attention_macs(unit),
           [=](const Memory& at) {
             return SkAttentionForwardArgs{.s = doubles(at(kept.s)),
                                           .reduce = at(tensors.reduce),
                                           .gamma = at(tensors.gamma),
                                           .beta = at(tensors.beta),
                                           .select = at(tensors.select),
                                           .running_mean = training ? nullptr : at(tensors.running_mean),
                                           .running_var = training ? nullptr : at(tensors.running_var),
                                           .reduced = doubles(at(kept.reduced)),
                                           .normed = doubles(at(kept.normed)),
                                           .batch_mean = at(results.running_mean),
                                           .batch_var = at(results.running_var),
                                           .attention = at(kept.attention)};
           });
}

Kept make_kept(Lowering& low, const Unit& unit) {
  Kept kept;
  for (int m = 0; m < unit.branches; ++m) {
    kept.norm[m] = make_norm(low, unit.path(m, ".bn"), unit.c, unit.layer.spec.eps);
    kept.u[m] = low.new_activation(unit.layer.shape);
    kept.norm[m].u = kept.u[m];
  }
  if (unit.d == 0) return kept;
  if (low.training()) {
    kept.mask = low.new_doubles(unit.sums);
    kept.mask_u = low.new_doubles(unit.sums);
  }
  kept.s = low.new_doubles(unit.sums / unit.branches);
  kept.reduced = low.new_doubles(static_cast<int64_t>(unit.n) * unit.d);
  kept.normed = low.new_doubles(static_cast<int64_t>(unit.n) * unit.d);
  kept.attention = low.new_value(unit.sums);
  return kept;
}

void forward(Lowering& low, int index) {
  const Unit unit(low, index);
  const Kept kept = make_kept(low, unit);
  split_forward(low, unit, kept);
  if (unit.d > 0) {
    fuse_forward(low, unit, kept);
    attention_forward(low, unit, kept);
  }
  const Ref v = low.new_activation(unit.layer.shape);
  low.step("sk_select_forward", unit.layer.spec.name, low.table.sk_select_forward, SkSelectProblem{unit.branches, unit.n, unit.hw, unit.c},
           4 * unit.branches * unit.size, [=](const Memory& at) {
             SkSelectForwardArgs a{};
             set_branches(at, unit, kept, a);
             a.attention = at(kept.attention);
             a.v = at(v);
             return a;
           });
  low.saved(index) = {.output = {.ref = v}, .kept = std::make_shared<Kept>(kept)};
}

// From the sums of sk_select_backward to the pooled sum's gradient ds, through the small network.
void attention_backward(Lowering& low, const Unit& unit, const Kept& kept, Ref dv_mask, Ref dv_mask_u, Ref ds) {
  const AttentionRefs tensors = attention_refs(unit, [&](const std::string& name) { return low.weight(name); });
  const AttentionRefs results = attention_refs(unit, [&](const std::string& name) { return low.result(name); });
  low.step("sk_attention_backward", unit.layer.spec.name, low.table.sk_attention_backward, unit.attention, 4 * attention_macs(unit),
           [=](const Memory& at) {
             SkAttentionBackwardArgs a{.s = doubles(at(kept.s)),
                                       .reduced = doubles(at(kept.reduced)),
                                       .normed = doubles(at(kept.normed)),
                                       .reduce = at(tensors.reduce),
                                       .gamma = at(tensors.gamma),
                                       .beta = at(tensors.beta),
                                       .select = at(tensors.select),
                                       .attention = at(kept.attention),
                                       .dv_mask = doubles(at(dv_mask)),
                                       .dv_mask_u = doubles(at(dv_mask_u)),
                                       .ds = doubles(at(ds)),
                                       .dreduce = at(results.reduce),
                                       .dgamma = at(results.gamma),
                                       .dbeta = at(results.beta),
                                       .dselect = at(results.select)};
             for (int m = 0; m < unit.branches; ++m) {
               a.scale[m] = at(kept.norm[m].scale);
               a.shift[m] = at(kept.norm[m].shift);
             }
             return a;
           });
}

void split_backward(Lowering& low, const Unit& unit, const Kept& kept, Ref dv, Ref dv_mask, Ref dv_mask_u, Ref ds) {
  const BranchRefs tensors = branch_refs(low, unit);
  const int input = unit.layer.inputs[0];
  const Reading x = low.reading_of(input);
  SkSplitProblem p = unit.split;
  p.close = true;
  Lowering::Target dx{};
  if (low.needs_gradient(input)) dx = low.gradient_target(input, low.accepts("sk_split_backward", low.table.sk_split_backward, p));
  p.close = dx.close != kNone;
  Norm before{};
  if (p.close) {
    make_norm_gradient(low, low.norm(dx.close), unit.x.c);
    before = low.norm(dx.close);
  }
  low.step("sk_split_backward", unit.layer.spec.name, low.table.sk_split_backward, p, 4 * unit.macs, [=](const Memory& at) {
    SkSplitBackwardArgs a{};
    set_branches(at, unit, kept, a);
    a.x = at(x.ref);
    a.x_norm = normalize(at, x);
    for (int m = 0; m < unit.branches; ++m) {
      a.weight[m] = at(tensors.weight[m]);
      a.gamma[m] = at(kept.norm[m].gamma);
      a.mean[m] = at(kept.norm[m].mean);
      a.invstd[m] = at(kept.norm[m].invstd);
      a.dweight[m] = at(tensors.dweight[m]);
      a.dgamma[m] = at(kept.norm[m].dgamma);
      a.dbeta[m] = at(kept.norm[m].dbeta);
    }
    a.dv = at(dv);
    a.attention = at(kept.attention);
    a.ds = doubles(at(ds));
    a.mask = doubles(at(kept.mask));
    a.mask_u = doubles(at(kept.mask_u));
    a.dv_mask = doubles(at(dv_mask));
    a.dv_mask_u = doubles(at(dv_mask_u));
    a.dx = at(dx.ref);
    if (dx.close == kNone) {
      a.add = at(dx.add);
    } else {
      a.close = norm_close(at, before, dx.add);
    }
    return a;
  });
}

void backward(Lowering& low, int index) {
  const Unit unit(low, index);
  const Kept& kept = *std::static_pointer_cast<Kept>(low.saved(index).kept);
  const Ref dv = low.gradient(index).ref;
  const Ref dv_mask = low.new_doubles(unit.sums), dv_mask_u = low.new_doubles(unit.sums);
  low.step("sk_select_backward", unit.layer.spec.name, low.table.sk_select_backward,
           SkSelectProblem{unit.branches, unit.n, unit.hw, unit.c}, 5 * unit.branches * unit.size, [=](const Memory& at) {
             SkSelectBackwardArgs a{};
             set_branches(at, unit, kept, a);
             a.dv = at(dv);
             a.dv_mask = doubles(at(dv_mask));
             a.dv_mask_u = doubles(at(dv_mask_u));
             return a;
           });
  Ref ds{};
  if (unit.d > 0) {
    ds = low.new_doubles(unit.sums / unit.branches);
    attention_backward(low, unit, kept, dv_mask, dv_mask_u, ds);
  }
  split_backward(low, unit, kept, dv, dv_mask, dv_mask_u, ds);
}

}  // namespace

const LayerLowering sk_unit_lowering{"sk_unit", forward, backward, reads_through_norm};

}  // namespace sknet::plan
