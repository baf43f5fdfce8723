// From the unit's sums per image to the branches' batch-norm gradients and to the coefficients by which the gradient of a branch's raw
// output is made (split_du.h).
#pragma once

#include "core/exec.h"
#include "cuda/split_du.h"
#include "cuda/tile_sums.h"
#include "ops/sk_split.h"

namespace sknet::cuda {

// du's coefficients, [M, C] each.
struct DuCoefficients {
  float *gain, *slope, *offset;
};

inline size_t du_coefficient_bytes(const SkSplitProblem& p) {
  return sizeof(float) * 3 * static_cast<size_t>(p.branches) * static_cast<size_t>(padded(p.conv[0].out));
}
inline DuCoefficients du_coefficients_at(const SkSplitProblem& p, char* memory) {
  float* floats = reinterpret_cast<float*>(memory);
  const int64_t size = static_cast<int64_t>(p.branches) * padded(p.conv[0].out);
  return {floats, floats + size, floats + 2 * size};
}

struct BranchClose {
  NormClose close[kMaxBranches];
  const float* mean[kMaxBranches];
  const float* attention;
  const double *ds, *mask, *mask_u, *dv_mask, *dv_mask_u;
  int images, out, channels;
  double pixels;
};

constexpr int kCloseLanes = 32;

// dz summed over pixels is attention dv_mask + ds / hw mask, and the same with u gives dz u; dz (u - mean) is dz u - mean dz. A block has 8
// channels of one branch, 32 lanes each go over the images.
static __global__ void __launch_bounds__(kCloseLanes* kSumChannels) close_branches(BranchClose b) {
  SIMT_DYN_SHARED(double, sums);  // [2][lanes][8]
  constexpr int kThreads = kCloseLanes * kSumChannels;
  const int t = static_cast<int>(threadIdx.x), lane = t / kSumChannels, m = static_cast<int>(blockIdx.y);
  const int c = static_cast<int>(blockIdx.x) * kSumChannels + t % kSumChannels;
  double sum = 0, dot = 0;
  const double mean = b.mean[m][c];
  for (int n = lane; n < b.images; n += kCloseLanes) {
    const int64_t i = (static_cast<int64_t>(m) * b.images + n) * b.channels + c;
    const double weight = b.attention == nullptr ? 1.0 : b.attention[i];
    double dz = weight * b.dv_mask[i], dz_u = weight * b.dv_mask_u[i];
    if (b.ds != nullptr) {
      const double ds = b.ds[static_cast<int64_t>(n) * b.channels + c] / b.pixels;
      dz += ds * b.mask[i];
      dz_u += ds * b.mask_u[i];
    }
    sum += dz;
    dot += dz_u - mean * dz;
  }
  sums[t] = sum;
  sums[kThreads + t] = dot;
  for (int half = kCloseLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
      sums[t] += sums[t + half * kSumChannels];
      sums[kThreads + t] += sums[kThreads + t + half * kSumChannels];
    }
  }
  if (lane == 0) FinishClose{b.close[m], b.out, b.pixels * b.images}(c, sums[t], sums[kThreads + t]);
}

inline void launch_close_branches(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const int channels = padded(conv.out);
  BranchClose b{{},        {},          a.attention, a.ds,     a.mask,   a.mask_u,
                a.dv_mask, a.dv_mask_u, conv.n,      conv.out, channels, static_cast<double>(conv.oh) * conv.ow};
  for (int m = 0; m < p.branches; ++m) {
    b.mean[m] = a.mean[m];
    b.close[m].gamma = a.gamma[m];
    b.close[m].invstd = a.invstd[m];
    b.close[m].dgamma = a.dgamma[m];
    b.close[m].dbeta = a.dbeta[m];
    b.close[m].gain = du.gain + static_cast<int64_t>(m) * channels;
    b.close[m].slope = du.slope + static_cast<int64_t>(m) * channels;
    b.close[m].offset = du.offset + static_cast<int64_t>(m) * channels;
  }
  SIMT_LAUNCH(close_branches, dim3(channels / kSumChannels, p.branches), kCloseLanes * kSumChannels,
              sizeof(double) * 2 * kCloseLanes * kSumChannels, exec.stream, b);
}

template <class Elem>
SplitGradient<Elem> split_gradient(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du) {
  const Conv2dProblem& conv = p.conv[0];
  SplitGradient<Elem> fill{};
  fill.dv = static_cast<const Elem*>(a.dv);
  fill.attention = a.attention;
  fill.ds = a.ds;
  fill.images = conv.n;
  fill.channels = padded(conv.out);
  fill.share = 1.0 / (static_cast<double>(conv.oh) * conv.ow);
  for (int m = 0; m < p.branches; ++m) {
    const int64_t of_branch = static_cast<int64_t>(m) * fill.channels;
    fill.u[m] = static_cast<const Elem*>(a.u[m]);
    fill.scale[m] = a.scale[m];
    fill.shift[m] = a.shift[m];
    fill.mean[m] = a.mean[m];
    fill.gain[m] = du.gain + of_branch;
    fill.slope[m] = du.slope + of_branch;
    fill.offset[m] = du.offset + of_branch;
  }
  return fill;
}

}  // namespace sknet::cuda
