// conv2d's gradient of the weights as a matrix product (gemm_reduce.h). Machine: machine.h.
#pragma once

#include "cuda/column_sums.h"
#include "cuda/gemm_reduce.h"
#include "cuda/gemm_selected.h"
#include "cuda/machine.h"
#include "ops/conv2d.h"

namespace sknet::cuda::gemm {

inline int tap_channels(const Conv2dProblem& p) { return p.fusion.x_rows ? p.c : padded(p.c); }
inline int columns(const Conv2dProblem& p) { return padded(p.kernel * p.kernel * tap_channels(p)); }
template <class Machine>
int tile_columns(const Conv2dProblem& p) {
  return Machine::kHasWide && columns(p) > kNarrowCols && p.fusion.x_branches <= kMostWideTiles ? kWideCols : kNarrowCols;
}

template <class Machine>
ReducePlan plan_of(const Conv2dProblem& p) {
  return reduce_plan(static_cast<int64_t>(p.n) * p.oh * p.ow, padded(p.out), columns(p), tile_columns<Machine>(p), Machine::kStep);
}

template <class Machine>
size_t partial_bytes(const Conv2dProblem& p) {
  const ReducePlan r = plan_of<Machine>(p);
  return sizeof(float) * static_cast<size_t>(r.chunks) * static_cast<size_t>(r.rows) * static_cast<size_t>(r.cols);
}
// The bias's sums reuse the memory.
template <class Machine>
size_t workspace(const Conv2dProblem& p) {
  const size_t partial = partial_bytes<Machine>(p), bias = column_sums_workspace(static_cast<int64_t>(p.n) * p.oh * p.ow, p.out);
  return partial > bias ? partial : bias;
}

template <class Machine, int kCols, class X, class Gradient>
void launch_cols(const ConvRows& rows, const ReducePlan& plan, const X& x, const Gradient& gradient, const Exec& exec) {
  using Multiplies = typename Machine::template Product<kCols>;
  constexpr int kShared = gemm_reduce_shared<X, Gradient, Multiplies, kCols>();
  allow_shared(gemm_reduce<X, Gradient, Multiplies, kCols>, kShared);
  SIMT_LAUNCH((gemm_reduce<X, Gradient, Multiplies, kCols>), dim3(plan.row_tiles * plan.col_tiles, plan.chunks), kLanes, kShared,
              exec.stream, rows, plan, x, gradient, reinterpret_cast<float*>(exec.workspace));
}

// The partial sums.
template <class Machine, class X>
void sum_from(const X& x, const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  using Elem = typename Machine::Type;
  const ReducePlan plan = plan_of<Machine>(p);
  const ConvRows rows = forward_rows(p, tap_channels(p), padded(p.out));
  const auto launch = [&](const auto& gradient) {
    if constexpr (Machine::kHasWide && X::kTiles <= kMostWideTiles) {
      if (tile_columns<Machine>(p) == kWideCols) return launch_cols<Machine, kWideCols>(rows, plan, x, gradient, exec);
    }
    launch_cols<Machine, kNarrowCols>(rows, plan, x, gradient, exec);
  };
  const Elem* dy = static_cast<const Elem*>(a.dy);
  if constexpr (Machine::kAnySource) {
    if (a.dy_norm.u != nullptr) return launch(GradientSource<Elem>{dy, a.dy_norm});
  }
  launch(PlainSource<Elem>{dy});
}

template <class Machine>
void sum_selected(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  with_select_source<Machine>(p, a.selection, [&](const auto& x) { sum_from<Machine>(x, p, a, exec); });
}

template <class Machine>
void run(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  using Elem = typename Machine::Type;
  const auto with_x = [&] {
    if (p.fusion.x_branches > 0) return sum_selected<Machine>(p, a, exec);
    if constexpr (Machine::kAnySource) {
      if (p.fusion.x_rows) {
        return sum_from<Machine>(
            RowsSource<Elem>{static_cast<const float*>(a.x), p.kernel, p.dilation, p.c, FastDiv(p.c), FastDiv(p.kernel)}, p, a, exec);
      }
    }
    if (a.x_norm.scale != nullptr) return sum_from<Machine>(NormSource<Elem>{static_cast<const Elem*>(a.x), a.x_norm}, p, a, exec);
    sum_from<Machine>(PlainSource<Elem>{static_cast<const Elem*>(a.x)}, p, a, exec);
  };
  with_x();
  const ReducePlan plan = plan_of<Machine>(p);
  const int64_t size = static_cast<int64_t>(p.out) * p.kernel * p.kernel * tap_channels(p);
  SIMT_LAUNCH(add_chunks, static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, reinterpret_cast<const float*>(exec.workspace),
              plan, p.out, p.c, p.kernel * p.kernel, tap_channels(p), a.dweight);
  if (a.dbias != nullptr) bias_gradient<Elem>(a.dy, a.dy_norm, static_cast<int64_t>(p.n) * p.oh * p.ow, p.out, a.dbias, exec);
}

template <class Machine>
constexpr Conv2dBackwardWeight make_backward_weight(const char* name, const char* (*refuse)(const Conv2dProblem&)) {
  return {name, refuse, workspace<Machine>, nullptr, run<Machine>};
}

}  // namespace sknet::cuda::gemm
