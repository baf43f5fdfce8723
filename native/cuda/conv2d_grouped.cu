// conv2d on CUDA, candidate "grouped", forward and gradient of the input: a tile and what its taps read in shared memory.
#include "cuda/conv2d_grouped.h"
#include "cuda/grouped_rows.h"

namespace sknet::cuda {
namespace {

template <class Elem, bool kTransposed>
const char* refuse_shape(const Conv2dProblem& p) {
  if (const char* reason = grouped_refuse(p)) return reason;
  const GroupedPlan g = grouped_plan(&p, 1, kTransposed);
  return grouped_rows_slabs<Elem>(g, kTransposed) == 0 ? "a tile does not fit shared memory" : nullptr;
}

template <class Elem>
const char* refuse_forward(const Conv2dProblem& p) {
  if (p.fusion.x_branches > 0) return "makes no SK unit's output";
  if (p.fusion.x_rows) return "reads no rows of the network's input";
  if (p.fusion.statistics && p.fusion.y_norm) return "leaves statistics or applies a norm, not both";
  return refuse_shape<Elem, false>(p);
}
template <class Elem>
const char* refuse_backward_data(const Conv2dProblem& p) {
  return refuse_shape<Elem, true>(p);
}

int64_t all_tiles(const GroupedPlan& g) { return static_cast<int64_t>(g.tiles()) * g.phases * g.phases; }

template <class Elem, bool kTransposed>
size_t packed(const Conv2dProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(branch_weights<Elem>(grouped_plan(&p, 1, kTransposed)).at[1]);
}
template <class Elem, bool kTransposed, class Args>
void pack(const Conv2dProblem& p, const Args& a, const Exec& exec) {
  pack_branch<Elem>(grouped_plan(&p, 1, kTransposed), p.c, 0, a.weight, kTransposed, exec);
}

size_t forward_workspace(const Conv2dProblem& p) {
  return p.fusion.statistics ? TileSums::bytes(all_tiles(grouped_plan(&p, 1, false)), padded(p.out), true) : 0;
}

template <class Elem>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(&p, 1, false);
  const auto with_fill = [&](const auto& fill) {
    Elem* y = static_cast<Elem*>(a.y);
    const auto launch = [&](const auto& epilogue) {
      launch_grouped_rows<Elem, false>(g, fill, BranchEpilogues<std::remove_cvref_t<decltype(epilogue)>>{{epilogue}}, exec);
    };
    if (a.statistics.gamma != nullptr) {
      const TileSums sums = TileSums::at(exec.workspace, all_tiles(g), g.channels, true);
      launch(StatisticsEpilogue<Elem>{y, a.bias, sums});
      launch_finish(sums, FinishStatistics{a.statistics, p.out, static_cast<double>(p.n) * p.oh * p.ow}, exec.stream);
    } else if (a.y_norm.scale != nullptr) {
      launch(NormEpilogue<Elem>{y, a.bias, a.y_norm, static_cast<const Elem*>(a.residual)});
    } else {
      launch(BiasEpilogue<Elem>{y, a.bias});
    }
  };
  const Elem* x = static_cast<const Elem*>(a.x);
  if (a.x_norm.scale != nullptr) {
    with_fill(NormFill<Elem>{x, a.x_norm});
  } else {
    with_fill(PlainFill<Elem>{{x}});
  }
}

size_t backward_data_workspace(const Conv2dProblem& p) {
  return p.fusion.close ? TileSums::bytes(all_tiles(grouped_plan(&p, 1, true)), padded(p.c), false) : 0;
}

template <class Elem>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(&p, 1, true);
  const auto with_fill = [&](const auto& fill) {
    Elem* dx = static_cast<Elem*>(a.dx);
    if (a.close.u != nullptr) {
      const TileSums sums = TileSums::at(exec.workspace, all_tiles(g), g.channels, false);
      launch_grouped_rows<Elem, true>(g, fill, BranchEpilogues<CloseEpilogue<Elem>>{{{dx, a.close, sums}}}, exec);
      launch_finish(sums, FinishClose{a.close, p.c, static_cast<double>(p.n) * p.h * p.w}, exec.stream);
    } else {
      launch_grouped_rows<Elem, true>(g, fill, BranchEpilogues<AddEpilogue<Elem>>{{{dx, static_cast<const Elem*>(a.add)}}}, exec);
    }
  };
  const Elem* dy = static_cast<const Elem*>(a.dy);
  if (a.dy_norm.u != nullptr) {
    with_fill(GradientFill<Elem>{dy, a.dy_norm});
  } else {
    with_fill(PlainFill<Elem>{{dy}});
  }
}

template <class Elem>
constexpr Conv2dForward kForward{
    "grouped", refuse_forward<Elem>, forward_workspace, nullptr, forward<Elem>, packed<Elem, false>, pack<Elem, false, Conv2dForwardArgs>};
template <class Elem>
constexpr Conv2dBackwardData kBackwardData{"grouped",
                                           refuse_backward_data<Elem>,
                                           backward_data_workspace,
                                           nullptr,
                                           backward_data<Elem>,
                                           packed<Elem, true>,
                                           pack<Elem, true, Conv2dBackwardDataArgs>};

}  // namespace

const Conv2dForward conv2d_forward_grouped_fp32 = kForward<float>, conv2d_forward_grouped_bf16 = kForward<bf16>;
const Conv2dBackwardData conv2d_backward_data_grouped_fp32 = kBackwardData<float>, conv2d_backward_data_grouped_bf16 = kBackwardData<bf16>;

}  // namespace sknet::cuda
