// sk_unit: split, fuse, the small attention network, select (DESIGN 4), which a convolution behind may do instead. Kept for backward: the
// raw branch outputs u, scale and shift, the attention, and per-image sums; BN + ReLU of the branches is never written. Branches that
// differ in groups, or that read shares of the input, are split by one sk_split each.
#include "plan/lower/layers.h"

namespace sknet::plan {

namespace {

// What the forward keeps.
struct Kept {
  Ref mask, mask_u, s, reduced, normed, attention;
  Ref u[kMaxBranches];
  Norm norm[kMaxBranches];
  Ref share[kMaxBranches];  // with a split input: the channels that the branch reads
};

struct Unit {
  Unit(const Lowering& low, int index) : layer(low.layer(index)), x(low.graph.shape_of(layer.inputs[0])) {
    const LayerSpec& s = layer.spec;
    split.branches = branches = static_cast<int>(s.branches.size());
    for (int m = 0; m < branches; ++m) {
      const BranchSpec& b = s.branches[static_cast<size_t>(m)];
      split.conv[m] = conv2d_problem(share(), layer.shape, b.kernel, s.stride, b.dilation * (b.kernel - 1) / 2, b.dilation, b.groups);
      macs += conv2d_macs(split.conv[m]);
      apart = apart || s.split_input || b.groups != s.branches[0].groups;
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
  // What one branch reads.
  Shape share() const { return {x.n, x.h, x.w, layer.spec.split_input ? x.c / branches : x.c}; }
  // sk_split is called once for all branches, or once for each.
  int calls() const { return apart ? branches : 1; }
  int branches_of_call() const { return apart ? 1 : branches; }
  SkSplitProblem problem_of(int call) const {
    if (!apart) return split;
    SkSplitProblem p{.branches = 1, .conv = {}, .x_norm = split.x_norm, .close = false};
    p.conv[0] = split.conv[call];
    return p;
  }
  ChannelGatherProblem gather(int first, int out) const {
    return {.n = n, .hw = x.h * x.w, .sources = 1, .c = {x.c}, .first = first, .out = out, .groups = 1};
  }
  SkSelectProblem select() const { return {branches, n, hw, c}; }
  std::string path(int m, const char* tensor) const { return layer.spec.name + ".paths." + std::to_string(m) + tensor; }
  std::string attn(const char* tensor) const { return layer.spec.name + ".attn" + tensor; }

  const Layer& layer;
  const Shape x;
  SkSplitProblem split{};
  SkAttentionProblem attention{};
  int branches, n, hw, c, d;
  int64_t size, sums, macs = 0;  // sums: [M, n, C]
  bool apart = false;
};

bool forward_accepts(const Lowering& low, const SkSplitProblem& p) {
  return low.accepts("sk_split_forward", low.table.sk_split_forward, p);
}
bool backward_accepts(const Lowering& low, const SkSplitProblem& p) {
  return low.accepts("sk_split_backward", low.table.sk_split_backward, p);
}

bool reads_through_norm(const Lowering& low, int index, int) {
  const Unit unit(low, index);
  if (unit.layer.spec.split_input) return false;
  for (int call = 0; call < unit.calls(); ++call) {
    SkSplitProblem p = unit.problem_of(call);
    p.x_norm = true;
    if (!forward_accepts(low, p) || !backward_accepts(low, p)) return false;
  }
  return true;
}

struct WeightRefs {
  Ref weight[kMaxBranches], dweight[kMaxBranches];
};

WeightRefs weight_refs(const Lowering& low, const Unit& unit) {
  WeightRefs r;
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

// Where branch m's part of [M, ...] begins; null stays null.
template <class T>
T* part_of(T* all, const Unit& unit, int m) {
  return all == nullptr ? nullptr : all + unit.sums / unit.branches * m;
}

// `input`: the unit's. What call `call` of sk_split reads: all of it, or a share.
Reading split_input(const Unit& unit, const Kept& kept, const Reading& input, int call) {
  return unit.layer.spec.split_input ? Reading{.ref = kept.share[call]} : input;
}

void split_forward(Lowering& low, const Unit& unit, const Kept& kept) {
  const WeightRefs tensors = weight_refs(low, unit);
  const bool training = low.training();
  const int share = unit.share().c;
  const Reading input = low.reading_of(unit.layer.inputs[0]);
  for (int m = 0; unit.layer.spec.split_input && m < unit.branches; ++m) {
    gather_channels(low, unit.layer.spec.name, unit.gather(m * share, share), {input.ref}, kept.share[m]);
  }
  for (int call = 0; call < unit.calls(); ++call) {
    const Reading x = split_input(unit, kept, input, call);
    low.step("sk_split_forward", unit.layer.spec.name, low.table.sk_split_forward, unit.problem_of(call), 2 * unit.macs / unit.calls(),
             [=](const Memory& at) {
               SkSplitForwardArgs a{};
               a.x = at(x.ref);
               a.x_norm = normalize(at, x);
               for (int i = 0; i < unit.branches_of_call(); ++i) {
                 const int m = call + i;
                 a.weight[i] = at(tensors.weight[m]);
                 a.u[i] = at(kept.u[m]);
                 if (training) a.statistics[i] = norm_statistics(at, kept.norm[m]);
               }
               return a;
             });
  }
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
    if (unit.layer.spec.split_input) kept.share[m] = low.new_activation(unit.share());
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

BranchRefs branch_refs(const Unit& unit, const Kept& kept) {
  BranchRefs r{.branches = unit.branches, .attention = kept.attention};
  for (int m = 0; m < unit.branches; ++m) {
    r.u[m] = kept.u[m];
    r.scale[m] = kept.norm[m].scale;
    r.shift[m] = kept.norm[m].shift;
  }
  return r;
}

// Returns the output.
Ref select_forward(Lowering& low, const Unit& unit, const Kept& kept, const std::string& note) {
  const Ref v = low.new_activation(unit.layer.shape);
  const BranchRefs refs = branch_refs(unit, kept);
  low.step(
      "sk_select_forward", unit.layer.spec.name, low.table.sk_select_forward, unit.select(), 4 * unit.branches * unit.size,
      [=](const Memory& at) { return SkSelectForwardArgs{selection(at, refs), at(v)}; }, note);
  return v;
}

void forward(Lowering& low, int index) {
  const Unit unit(low, index);
  const Kept kept = make_kept(low, unit);
  split_forward(low, unit, kept);
  if (unit.d > 0) {
    fuse_forward(low, unit, kept);
    attention_forward(low, unit, kept);
  }
  Saved& saved = low.saved(index);
  saved.kept = std::make_shared<Kept>(kept);
  BranchRefs refs = branch_refs(unit, kept);
  if (conv2d_reads_branches(low, index, unit.select(), &refs.note)) {
    saved.output = {.unit = std::make_shared<BranchRefs>(refs)};
    saved.stays = true;
  } else {
    saved.output = {.ref = select_forward(low, unit, kept, refs.note)};
  }
}

const Kept& kept_of(const Lowering& low, int index) { return *std::static_pointer_cast<Kept>(low.saved(index).kept); }

Ref output_again(Lowering& low, int index) { return select_forward(low, Unit(low, index), kept_of(low, index), "made again, not kept"); }

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

// What the unit's sums and gradients are, for sk_split's backward.
struct SplitGradient {
  Ref dv, dv_mask, dv_mask_u, ds;
};

void split_call_backward(Lowering& low, const Unit& unit, const Kept& kept, const Reading& input, const SplitGradient& g, int call,
                         const Lowering::Target& dx) {
  const WeightRefs tensors = weight_refs(low, unit);
  const Reading x = split_input(unit, kept, input, call);
  SkSplitProblem p = unit.problem_of(call);
  p.close = dx.close != kNone;
  const Norm before = p.close ? low.norm(dx.close) : Norm{};
  low.step("sk_split_backward", unit.layer.spec.name, low.table.sk_split_backward, p, 4 * unit.macs / unit.calls(), [=](const Memory& at) {
    SkSplitBackwardArgs a{};
    a.x = at(x.ref);
    a.x_norm = normalize(at, x);
    for (int i = 0; i < unit.branches_of_call(); ++i) {
      const int m = call + i;
      a.u[i] = at(kept.u[m]);
      a.scale[i] = at(kept.norm[m].scale);
      a.shift[i] = at(kept.norm[m].shift);
      a.weight[i] = at(tensors.weight[m]);
      a.gamma[i] = at(kept.norm[m].gamma);
      a.mean[i] = at(kept.norm[m].mean);
      a.invstd[i] = at(kept.norm[m].invstd);
      a.dweight[i] = at(tensors.dweight[m]);
      a.dgamma[i] = at(kept.norm[m].dgamma);
      a.dbeta[i] = at(kept.norm[m].dbeta);
    }
    a.dv = at(g.dv);
    a.ds = doubles(at(g.ds));
    a.attention = part_of(at(kept.attention), unit, call);
    a.mask = part_of(doubles(at(kept.mask)), unit, call);
    a.mask_u = part_of(doubles(at(kept.mask_u)), unit, call);
    a.dv_mask = part_of(doubles(at(g.dv_mask)), unit, call);
    a.dv_mask_u = part_of(doubles(at(g.dv_mask_u)), unit, call);
    a.dx = at(dx.ref);
    if (dx.close == kNone) {
      a.add = at(dx.add);
    } else {
      a.close = norm_close(at, before, dx.add);
    }
    return a;
  });
}

void split_backward(Lowering& low, const Unit& unit, const Kept& kept, const SplitGradient& g) {
  const int input = unit.layer.inputs[0], last = unit.calls() - 1;
  const bool needed = low.needs_gradient(input);
  if (unit.layer.spec.split_input) {
    std::vector<Ref> shares;
    for (int m = 0; m < unit.branches; ++m) {
      shares.push_back(needed ? low.new_activation(unit.share()) : Ref{});
      split_call_backward(low, unit, kept, {}, g, m, {.ref = shares.back(), .add = {}});
    }
    if (!needed) return;
    const Lowering::Target dx = low.gradient_target(input);
    ChannelGatherProblem all = unit.gather(0, unit.x.c);
    all.sources = unit.branches;
    for (int m = 0; m < unit.branches; ++m) all.c[m] = unit.share().c;
    gather_channels(low, unit.layer.spec.name, all, shares, dx.ref, dx.add);
    return;
  }
  const Reading x = low.reading_again(input);
  SkSplitProblem p = unit.problem_of(last);
  p.close = true;
  Lowering::Target dx{};
  if (needed) dx = low.gradient_target(input, backward_accepts(low, p));
  if (dx.close != kNone) make_norm_gradient(low, low.norm(dx.close), unit.x.c);
  // Each call adds to what the one before it left; the last one closes.
  for (int call = 0; call <= last; ++call) {
    const Ref add = call == 0 ? dx.add : dx.ref;
    split_call_backward(low, unit, kept, x, g, call, {.ref = dx.ref, .add = add, .close = call == last ? dx.close : kNone});
  }
}

void backward(Lowering& low, int index) {
  const Unit unit(low, index);
  const Kept& kept = kept_of(low, index);
  const Ref dv = low.gradient(index).ref;
  const Ref dv_mask = low.new_doubles(unit.sums), dv_mask_u = low.new_doubles(unit.sums);
  low.step("sk_select_backward", unit.layer.spec.name, low.table.sk_select_backward, unit.select(), 5 * unit.branches * unit.size,
           [=](const Memory& at) {
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
  split_backward(low, unit, kept, {dv, dv_mask, dv_mask_u, ds});
}

}  // namespace

const LayerLowering sk_unit_lowering{"sk_unit", forward, backward, reads_through_norm, output_again};

}  // namespace sknet::plan
