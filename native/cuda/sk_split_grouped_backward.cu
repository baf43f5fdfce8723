// sk_split on CUDA, candidate "grouped", backward: the gradients of the branches' raw outputs (split_du.h), then one kernel for the
// weights' gradients and one for dx.
#include "cuda/grouped_reduce.h"
#include "cuda/grouped_rows.h"
#include "cuda/sk_split_close.h"
#include "cuda/sk_split_grouped.h"

namespace sknet::cuda {
namespace {

template <class Elem>
const char* refuse(const SkSplitProblem& p) {
  if (const char* reason = refuse_branches(p, grouped_refuse)) return reason;
  const bool fits = grouped_rows_slabs<Elem>(grouped_plan(p.conv, p.branches, true), true) != 0 &&
                    grouped_reduce_plan<Elem>(grouped_plan(p.conv, p.branches, false)).slabs != 0;
  return fits ? nullptr : "a tile does not fit shared memory";
}

int64_t all_tiles(const GroupedPlan& g) { return static_cast<int64_t>(g.tiles()) * g.phases * g.phases; }

// Workspace: du's coefficients; du; then the weights' partial sums, and after them in the same place the closing's sums.
template <class Elem>
size_t workspace(const SkSplitProblem& p) {
  const GroupedPlan g = grouped_plan(p.conv, p.branches, true);
  const size_t sums = p.close ? TileSums::bytes(all_tiles(g), g.channels, false) : 0;
  const GroupedPlan forward = grouped_plan(p.conv, p.branches, false);
  const size_t partial = grouped_reduce_bytes<Elem>(forward, grouped_reduce_plan<Elem>(forward));
  return du_coefficient_bytes(p) + branch_gradient_bytes<Elem>(p) + (sums > partial ? sums : partial);
}

template <class Elem>
size_t packed(const SkSplitProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(branch_weights<Elem>(grouped_plan(p.conv, p.branches, true)).at[kMaxBranches]);
}
template <class Elem>
void pack(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(p.conv, p.branches, true);
  for (int m = 0; m < p.branches; ++m) pack_branch<Elem>(g, p.conv[0].c, m, a.weight[m], true, exec);
}

template <class Elem>
void run(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const DuCoefficients du = du_coefficients_at(p, exec.workspace);
  const BranchGradients<Elem> gradients = branch_gradients<Elem>(p, exec.workspace + du_coefficient_bytes(p));
  char* memory = exec.workspace + du_coefficient_bytes(p) + branch_gradient_bytes<Elem>(p);
  launch_close_branches(p, a, du, exec);
  launch_make_du<Elem>(p, split_gradient<Elem>(p, a, du), gradients, exec);
  const PlainFill<Elem> fill = plain_fill(gradients);
  // The weights first: dx may be the memory that x is read from.
  const GroupedPlan forward = grouped_plan(p.conv, p.branches, false);
  const Elem* x = static_cast<const Elem*>(a.x);
  float* partial = reinterpret_cast<float*>(memory);
  if (a.x_norm.scale != nullptr) {
    launch_grouped_reduce<Elem>(forward, conv.out, NormFill<Elem>{x, a.x_norm}, fill, a.dweight, partial, exec);
  } else {
    launch_grouped_reduce<Elem>(forward, conv.out, PlainFill<Elem>{{x}}, fill, a.dweight, partial, exec);
  }
  if (a.dx == nullptr) return;
  const GroupedPlan g = grouped_plan(p.conv, p.branches, true);
  Elem* dx = static_cast<Elem*>(a.dx);
  if (a.close.u != nullptr) {
    const TileSums sums = TileSums::at(memory, all_tiles(g), g.channels, false);
    launch_grouped_rows<Elem, true>(g, fill, BranchEpilogues<CloseEpilogue<Elem>>{{{dx, a.close, sums}}}, exec);
    launch_finish(sums, FinishClose{a.close, conv.c, static_cast<double>(conv.n) * conv.h * conv.w}, exec.stream);
  } else {
    launch_grouped_rows<Elem, true>(g, fill, BranchEpilogues<AddEpilogue<Elem>>{{{dx, static_cast<const Elem*>(a.add)}}}, exec);
  }
}

template <class Elem>
constexpr SkSplitBackward kBackward{"grouped", refuse<Elem>, workspace<Elem>, nullptr, run<Elem>, packed<Elem>, pack<Elem>};

}  // namespace

const SkSplitBackward sk_split_backward_grouped_fp32 = kBackward<float>, sk_split_backward_grouped_bf16 = kBackward<bf16>;

}  // namespace sknet::cuda
