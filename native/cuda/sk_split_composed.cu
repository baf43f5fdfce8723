// sk_split on CUDA, candidate "composed": one convolution after the other, by conv2d's plain loops; the branches' batch norms are closed
// from the sums that the unit's other ops left, and du of each branch is written once.
#include "cuda/channel_sums.h"
#include "cuda/conv2d_direct.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"
#include "cuda/sk_split_composed.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;

template <class Elem>
struct Convolutions;
template <>
struct Convolutions<float> {
  static constexpr const Conv2dForward& forward = conv2d_forward_direct_fp32;
  static constexpr const Conv2dBackwardData& data = conv2d_backward_data_direct_fp32;
  static constexpr const Conv2dBackwardWeight& weight = conv2d_backward_weight_direct_fp32;
};
template <>
struct Convolutions<bf16> {
  static constexpr const Conv2dForward& forward = conv2d_forward_direct_bf16;
  static constexpr const Conv2dBackwardData& data = conv2d_backward_data_direct_bf16;
  static constexpr const Conv2dBackwardWeight& weight = conv2d_backward_weight_direct_bf16;
};

template <class Elem>
void forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dForwardArgs args{.x = a.x,
                                 .x_norm = a.x_norm,
                                 .weight = a.weight[m],
                                 .bias = nullptr,
                                 .y = a.u[m],
                                 .statistics = a.statistics[m],
                                 .residual = nullptr};
    Convolutions<Elem>::forward.run(p.conv[m], args, exec);
  }
}

// du = gain dz + slope (u - mean) - offset, dz = z > 0 ? attention dv + ds / hw : 0   (ops/normalize.h)
struct Coefficients {
  float *gain, *slope, *offset;  // [M, C]
};

constexpr size_t align256(size_t bytes) { return (bytes + 255) / 256 * 256; }
size_t coefficient_floats(const SkSplitProblem& p) { return static_cast<size_t>(p.branches) * padded_channels(p.conv[0].out, kRows); }
size_t coefficient_bytes(const SkSplitProblem& p) { return align256(3 * sizeof(float) * coefficient_floats(p)); }

template <class Elem>
size_t backward_workspace(const SkSplitProblem& p) {
  const Conv2dProblem& conv = p.conv[0];
  return coefficient_bytes(p) + sizeof(Elem) * static_cast<size_t>(conv.n) * conv.oh * conv.ow * padded_channels(conv.out, kRows);
}

// One lane a channel and branch: dz summed over pixels is attention dv_mask + ds / hw mask, and the same with u gives dz u.
__global__ void close_branches(SkSplitProblem p, SkSplitBackwardArgs a, Coefficients to) {
  const Conv2dProblem& conv = p.conv[0];
  const int padded = padded_channels(conv.out, kRows), i = static_cast<int>(blockIdx.x) * kLanes + static_cast<int>(threadIdx.x);
  if (i >= p.branches * padded) return;
  const int m = i / padded, c = i % padded;
  const double hw = static_cast<double>(conv.oh) * conv.ow;
  double sum = 0, dot = 0;
  for (int n = 0; c < conv.out && n < conv.n; ++n) {
    const int64_t at = (static_cast<int64_t>(m) * conv.n + n) * padded + c;
    const double weight = a.attention == nullptr ? 1.0 : a.attention[at];
    double dz = weight * a.dv_mask[at], dz_u = weight * a.dv_mask_u[at];
    if (a.ds != nullptr) {
      const double ds = a.ds[static_cast<int64_t>(n) * padded + c] / hw;
      dz += ds * a.mask[at];
      dz_u += ds * a.mask_u[at];
    }
    sum += dz;
    dot += dz_u - a.mean[m][c] * dz;
  }
  NormClose close{};
  close.gamma = a.gamma[m];
  close.invstd = a.invstd[m];
  close.dgamma = a.dgamma[m];
  close.dbeta = a.dbeta[m];
  close.gain = to.gain + m * padded;
  close.slope = to.slope + m * padded;
  close.offset = to.offset + m * padded;
  set_close(close, c, conv.out, sum, dot, hw * conv.n);
}

template <class Elem>
__global__ void make_du(SkSplitProblem p, SkSplitBackwardArgs a, Coefficients k, int m, Elem* du) {
  const Conv2dProblem& conv = p.conv[0];
  const int padded = padded_channels(conv.out, kRows), hw = conv.oh * conv.ow;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= static_cast<int64_t>(conv.n) * hw * padded) return;
  const int c = static_cast<int>(i % padded);
  if (c >= conv.out) return put(du + i, 0.0f);
  const int64_t n = i / padded / hw;
  const float u = to_f(static_cast<const Elem*>(a.u[m])[i]);
  float dz = 0;
  if (a.scale[m][c] * u + a.shift[m][c] > 0) {
    dz = to_f(static_cast<const Elem*>(a.dv)[i]);
    if (a.attention != nullptr) dz *= a.attention[(static_cast<int64_t>(m) * conv.n + n) * padded + c];
    if (a.ds != nullptr) dz += static_cast<float>(a.ds[n * padded + c] / hw);
  }
  const int at = m * padded + c;
  put(du + i, k.gain[at] * dz + (k.slope[at] * (u - a.mean[m][c]) - k.offset[at]));
}

template <class Elem>
void backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const int padded = padded_channels(conv.out, kRows);
  float* floats = reinterpret_cast<float*>(exec.workspace);
  const size_t each = coefficient_floats(p);
  const Coefficients coefficients{floats, floats + each, floats + 2 * each};
  Elem* du = reinterpret_cast<Elem*>(exec.workspace + coefficient_bytes(p));
  SIMT_LAUNCH(close_branches, static_cast<unsigned>((p.branches * padded + kLanes - 1) / kLanes), kLanes, 0, exec.stream, p, a,
              coefficients);
  for (int m = 0; m < p.branches; ++m) {
    const int64_t size = static_cast<int64_t>(conv.n) * conv.oh * conv.ow * padded;
    SIMT_LAUNCH(make_du<Elem>, static_cast<unsigned>((size + kLanes - 1) / kLanes), kLanes, 0, exec.stream, p, a, coefficients, m, du);
    if (a.dx != nullptr) {
      // The first branch adds what others left, the last closes the sum.
      const bool first = m == 0, close = p.close && m == p.branches - 1;
      Conv2dBackwardDataArgs args{.dy = du, .weight = a.weight[m], .dx = a.dx, .add = nullptr};
      if (close) args.close = a.close;
      const void* others = p.close ? a.close.add : a.add;
      (close ? args.close.add : args.add) = first ? others : a.dx;
      Convolutions<Elem>::data.run(p.conv[m], args, exec);
    }
    const Conv2dBackwardWeightArgs args{.x = a.x, .x_norm = a.x_norm, .dy = du, .dweight = a.dweight[m], .dbias = nullptr};
    Convolutions<Elem>::weight.run(p.conv[m], args, exec);
  }
}

}  // namespace

const SkSplitForward sk_split_forward_composed_fp32{"composed", nullptr, nullptr, nullptr, forward<float>};
const SkSplitForward sk_split_forward_composed_bf16{"composed", nullptr, nullptr, nullptr, forward<bf16>};
const SkSplitBackward sk_split_backward_composed_fp32{"composed", nullptr, backward_workspace<float>, nullptr, backward<float>};
const SkSplitBackward sk_split_backward_composed_bf16{"composed", nullptr, backward_workspace<bf16>, nullptr, backward<bf16>};

}  // namespace sknet::cuda
