// sk_split on CUDA, candidate "grouped", forward: one tile of the input, read through its batch norm, serves all branches, each of which
// leaves its statistics.
#include "cuda/grouped_rows.h"
#include "cuda/sk_split_grouped.h"

namespace sknet::cuda {
namespace {

template <class Elem>
const char* refuse(const SkSplitProblem& p) {
  if (const char* reason = refuse_branches(p, grouped_refuse)) return reason;
  const GroupedPlan g = grouped_plan(p.conv, p.branches, false);
  return grouped_rows_slabs<Elem>(g, false) == 0 ? "a tile does not fit shared memory" : nullptr;
}

size_t sums_bytes(const GroupedPlan& g) { return TileSums::bytes(g.tiles(), g.channels, true); }
size_t workspace(const SkSplitProblem& p) { return static_cast<size_t>(p.branches) * sums_bytes(grouped_plan(p.conv, p.branches, false)); }

template <class Elem>
size_t packed(const SkSplitProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(branch_weights<Elem>(grouped_plan(p.conv, p.branches, false)).at[kMaxBranches]);
}
template <class Elem>
void pack(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(p.conv, p.branches, false);
  for (int m = 0; m < p.branches; ++m) pack_branch<Elem>(g, p.conv[0].c, m, a.weight[m], false, exec);
}

template <class Elem>
void run(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(p.conv, p.branches, false);
  const Conv2dProblem& conv = p.conv[0];
  const auto launch = [&](const auto& epilogues) {
    const Elem* x = static_cast<const Elem*>(a.x);
    if (a.x_norm.scale != nullptr) {
      launch_grouped_rows<Elem, false>(g, NormFill<Elem>{x, a.x_norm}, epilogues, exec);
    } else {
      launch_grouped_rows<Elem, false>(g, PlainFill<Elem>{{x}}, epilogues, exec);
    }
  };
  if (a.statistics[0].gamma == nullptr) {
    BranchEpilogues<BiasEpilogue<Elem>> epilogues{};
    for (int m = 0; m < p.branches; ++m) epilogues.of[m] = {static_cast<Elem*>(a.u[m]), nullptr};
    return launch(epilogues);
  }
  BranchEpilogues<StatisticsEpilogue<Elem>> epilogues{};
  TileSums sums[kMaxBranches];
  for (int m = 0; m < p.branches; ++m) {
    sums[m] = TileSums::at(exec.workspace + static_cast<size_t>(m) * sums_bytes(g), g.tiles(), g.channels, true);
    epilogues.of[m] = {static_cast<Elem*>(a.u[m]), nullptr, sums[m]};
  }
  launch(epilogues);
  const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
  for (int m = 0; m < p.branches; ++m) launch_finish(sums[m], FinishStatistics{a.statistics[m], conv.out, rows}, exec.stream);
}

template <class Elem>
constexpr SkSplitForward kForward{"grouped", refuse<Elem>, workspace, nullptr, run<Elem>, packed<Elem>, pack<Elem>};

}  // namespace

const SkSplitForward sk_split_forward_grouped_fp32 = kForward<float>, sk_split_forward_grouped_bf16 = kForward<bf16>;

}  // namespace sknet::cuda
