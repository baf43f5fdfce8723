// conv2d on CUDA, candidate "gemm", gradient of the weights.
#include "cuda/column_sums.h"
#include "cuda/conv2d_gemm.h"
#include "cuda/gemm_reduce.h"

namespace sknet::cuda {
namespace {

constexpr int kWide = 128, kNarrow = 64;  // columns of a tile

const char* refuse(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.fusion.x_rows && p.fusion.x_norm) return "the network's input is not read through a norm";
  return nullptr;
}

int tap_channels(const Conv2dProblem& p) { return p.fusion.x_rows ? p.c : padded(p.c); }
int columns(const Conv2dProblem& p) { return padded(p.kernel * p.kernel * tap_channels(p)); }
template <class Elem>
int tile_columns(const Conv2dProblem& p) {
  return sizeof(Elem) == 2 && columns(p) > kNarrow ? kWide : kNarrow;
}

template <class Elem>
ReducePlan plan_of(const Conv2dProblem& p) {
  return reduce_plan<Elem>(static_cast<int64_t>(p.n) * p.oh * p.ow, padded(p.out), columns(p), tile_columns<Elem>(p));
}

template <class Elem>
size_t partial_bytes(const Conv2dProblem& p) {
  const ReducePlan r = plan_of<Elem>(p);
  return sizeof(float) * static_cast<size_t>(r.chunks) * static_cast<size_t>(r.rows) * static_cast<size_t>(r.cols);
}
// The bias's sums reuse the memory.
template <class Elem>
size_t workspace(const Conv2dProblem& p) {
  const size_t partial = partial_bytes<Elem>(p), bias = column_sums_workspace(static_cast<int64_t>(p.n) * p.oh * p.ow, p.out);
  return partial > bias ? partial : bias;
}

template <int kCols, class X, class Gradient>
void launch_cols(const ConvRows& rows, const ReducePlan& plan, const X& x, const Gradient& gradient, const Exec& exec) {
  constexpr int kShared = gemm_reduce_shared<typename X::Type, X, Gradient, kCols>();
  allow_shared(gemm_reduce<X, Gradient, kCols>, kShared);
  SIMT_LAUNCH((gemm_reduce<X, Gradient, kCols>), dim3(plan.row_tiles * plan.col_tiles, plan.chunks), kLanes, kShared, exec.stream, rows,
              plan, x, gradient, reinterpret_cast<float*>(exec.workspace));
}

template <class Elem>
void run(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const ReducePlan plan = plan_of<Elem>(p);
  const ConvRows rows = forward_rows(p, tap_channels(p), padded(p.out));
  const auto launch = [&](const auto& x, const auto& gradient) {
    if constexpr (sizeof(Elem) == 2) {
      if (tile_columns<Elem>(p) == kWide) return launch_cols<kWide>(rows, plan, x, gradient, exec);
    }
    launch_cols<kNarrow>(rows, plan, x, gradient, exec);
  };
  const auto with_gradient = [&](const auto& x) {
    const Elem* dy = static_cast<const Elem*>(a.dy);
    if (a.dy_norm.u != nullptr) {
      launch(x, GradientSource<Elem>{dy, a.dy_norm});
    } else {
      launch(x, PlainSource<Elem>{dy});
    }
  };
  if (p.fusion.x_rows) {
    with_gradient(RowsSource<Elem>{static_cast<const float*>(a.x), p.kernel, p.dilation, p.c, FastDiv(p.c), FastDiv(p.kernel)});
  } else if (a.x_norm.scale != nullptr) {
    with_gradient(NormSource<Elem>{static_cast<const Elem*>(a.x), a.x_norm});
  } else {
    with_gradient(PlainSource<Elem>{static_cast<const Elem*>(a.x)});
  }
  const int64_t size = static_cast<int64_t>(p.out) * p.kernel * p.kernel * tap_channels(p);
  SIMT_LAUNCH((add_chunks<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream,
              reinterpret_cast<const float*>(exec.workspace), plan, p.out, p.c, p.kernel * p.kernel, tap_channels(p), a.dweight);
  if (a.dbias != nullptr) bias_gradient<Elem>(a.dy, a.dy_norm, static_cast<int64_t>(p.n) * p.oh * p.ow, p.out, a.dbias, exec);
}

}  // namespace

const Conv2dBackwardWeight conv2d_backward_weight_gemm_fp32{"gemm", refuse, workspace<float>, nullptr, run<float>};
const Conv2dBackwardWeight conv2d_backward_weight_gemm_bf16{"gemm", refuse, workspace<bf16>, nullptr, run<bf16>};

}  // namespace sknet::cuda
