// sk_split on CUDA, candidate "fused", backward: dx and all weights' gradients from one read of the branches' gradients and x
// (split_backward.h).
#include "cuda/sk_split_close.h"
#include "cuda/sk_split_grouped.h"
#include "cuda/split_backward.h"

namespace sknet::cuda {
namespace {

template <class Elem>
const char* refuse(const SkSplitProblem& p) {
  if (const char* reason = refuse_branches(p, grouped_refuse)) return reason;
  if (split_plan<Elem>(p.conv, p.branches).reduce.slabs != 0) return nullptr;
  return "changes the image's size, has 8 columns or fewer, too many taps, or tiles that do not fit shared memory";
}

size_t sums_bytes(const SkSplitProblem& p, const SplitPlan& s) {
  return p.close ? TileSums::bytes(s.transposed.tiles(), s.transposed.channels, false) : 0;
}

// Workspace: du's coefficients, du, the closing's sums, the weights' partial sums; the latter by whichever kernel.
template <class Elem>
size_t workspace(const SkSplitProblem& p) {
  const SplitPlan s = split_plan<Elem>(p.conv, p.branches);
  const size_t fused = grouped_reduce_bytes<Elem>(s.forward, s.reduce);
  const size_t alone = grouped_reduce_bytes<Elem>(s.forward, grouped_reduce_plan<Elem>(s.forward));
  return du_coefficient_bytes(p) + branch_gradient_bytes<Elem>(p) + sums_bytes(p, s) + (fused > alone ? fused : alone);
}

template <class Elem>
size_t packed(const SkSplitProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(branch_weights<Elem>(split_plan<Elem>(p.conv, p.branches).transposed).at[kMaxBranches]);
}
template <class Elem>
void pack(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const SplitPlan s = split_plan<Elem>(p.conv, p.branches);
  for (int m = 0; m < p.branches; ++m) pack_branch<Elem>(s.transposed, p.conv[0].c, m, a.weight[m], true, exec);
}

template <class Elem>
void run(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const SplitPlan s = split_plan<Elem>(p.conv, p.branches);
  const DuCoefficients du = du_coefficients_at(p, exec.workspace);
  const BranchGradients<Elem> gradients = branch_gradients<Elem>(p, exec.workspace + du_coefficient_bytes(p));
  char* memory = exec.workspace + du_coefficient_bytes(p) + branch_gradient_bytes<Elem>(p);
  float* partial = reinterpret_cast<float*>(memory + sums_bytes(p, s));
  launch_close_branches(p, a, du, exec);
  launch_make_du<Elem>(p, split_gradient<Elem>(p, a, du), gradients, exec);
  const PlainFill<Elem> fill = plain_fill(gradients);
  const auto with_x = [&](const auto& x) {
    if (a.dx == nullptr) return launch_grouped_reduce<Elem>(s.forward, conv.out, x, fill, a.dweight, partial, exec);
    Elem* dx = static_cast<Elem*>(a.dx);
    if (a.close.u != nullptr) {
      const TileSums sums = TileSums::at(memory, s.transposed.tiles(), s.transposed.channels, false);
      launch_split_backward<Elem>(s, x, fill, BranchEpilogues<CloseEpilogue<Elem>>{{{dx, a.close, sums}}}, partial, exec);
      launch_finish(sums, FinishClose{a.close, conv.c, static_cast<double>(conv.n) * conv.h * conv.w}, exec.stream);
    } else {
      launch_split_backward<Elem>(s, x, fill, BranchEpilogues<AddEpilogue<Elem>>{{{dx, static_cast<const Elem*>(a.add)}}}, partial, exec);
    }
    launch_add_chunks<Elem>(s.forward, s.reduce, conv.out, a.dweight, partial, exec);
  };
  const Elem* x = static_cast<const Elem*>(a.x);
  if (a.x_norm.scale != nullptr) {
    with_x(NormFill<Elem>{x, a.x_norm});
  } else {
    with_x(PlainFill<Elem>{{x}});
  }
}

template <class Elem>
constexpr SkSplitBackward kBackward{"fused", refuse<Elem>, workspace<Elem>, nullptr, run<Elem>, packed<Elem>, pack<Elem>};

}  // namespace

const SkSplitBackward sk_split_backward_fused_fp32 = kBackward<float>, sk_split_backward_fused_bf16 = kBackward<bf16>;

}  // namespace sknet::cuda
