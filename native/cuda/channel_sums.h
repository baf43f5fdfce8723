// Sums over all rows of a channel, one block a channel, and what a batch norm makes of them (ops/normalize.h). Rows lie as in ops/layout.h
// with kRows; padded channels get values that do no harm.
#pragma once

#include <cmath>

#include "cuda/simt/simt.h"
#include "ops/layout.h"
#include "ops/normalize.h"

namespace sknet::cuda {
namespace {

constexpr int kSumLanes = 128;

// The sum of all lanes' `v`, for all lanes. `shared`: kSumLanes.
__device__ __forceinline__ double block_sum(double v, double* shared) {
  const int lane = static_cast<int>(threadIdx.x);
  __syncthreads();  // the sum before was read
  shared[lane] = v;
  __syncthreads();
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    if (lane < half) shared[lane] += shared[lane + half];
    __syncthreads();
  }
  return shared[0];
}

// Mean and squares in two reads, so that a mean large against the spread does no harm.
template <class Elem>
__global__ void channel_statistics(const Elem* u, int64_t rows, int channels, NormStatistics s) {
  SIMT_SHARED(double[kSumLanes], shared);
  const int c = static_cast<int>(blockIdx.x), padded = padded_channels(channels, kRows);
  double sum = 0;
  for (int64_t r = threadIdx.x; r < rows; r += kSumLanes) sum += to_f(u[r * padded + c]);
  const double mean = block_sum(sum, shared) / static_cast<double>(rows);
  sum = 0;
  for (int64_t r = threadIdx.x; r < rows; r += kSumLanes) {
    const double d = to_f(u[r * padded + c]) - mean;
    sum += d * d;
  }
  const double squares = block_sum(sum, shared);
  if (threadIdx.x != 0) return;
  if (c >= channels) {
    s.mean[c] = s.invstd[c] = s.scale[c] = s.shift[c] = 0;
    return;
  }
  const double invstd = 1.0 / sqrt(squares / static_cast<double>(rows) + s.eps);
  s.mean[c] = s.batch_mean[c] = static_cast<float>(mean);
  s.invstd[c] = static_cast<float>(invstd);
  s.batch_var[c] = static_cast<float>(squares / static_cast<double>(rows - 1));
  s.scale[c] = static_cast<float>(s.gamma[c] * invstd);
  // With the scale as it was rounded, so that z is exact at the mean.
  s.shift[c] = static_cast<float>(s.beta[c] - mean * s.scale[c]);
}

// What follows from the sums of dz and of dz (u - mean) over `rows`; by one lane.
__device__ __forceinline__ void set_close(const NormClose& n, int c, int channels, double sum, double dot, double rows) {
  if (c >= channels) {
    n.gain[c] = n.slope[c] = n.offset[c] = 0;
    return;
  }
  const double invstd = n.invstd[c], gain = n.gamma[c] * invstd;
  n.dbeta[c] = static_cast<float>(sum);
  n.dgamma[c] = static_cast<float>(dot * invstd);
  n.gain[c] = static_cast<float>(gain);
  n.slope[c] = static_cast<float>(-gain * invstd * invstd * dot / rows);
  n.offset[c] = static_cast<float>(gain * sum / rows);
}

template <class Elem>
__global__ void channel_close(const Elem* dz, int64_t rows, int channels, NormClose n) {
  SIMT_SHARED(double[kSumLanes], shared);
  const int c = static_cast<int>(blockIdx.x), padded = padded_channels(channels, kRows);
  const Elem* u = static_cast<const Elem*>(n.u);
  double sum = 0, dot = 0;
  for (int64_t r = threadIdx.x; c < channels && r < rows; r += kSumLanes) {
    const double g = to_f(dz[r * padded + c]);
    sum += g;
    dot += g * (to_f(u[r * padded + c]) - n.mean[c]);
  }
  sum = block_sum(sum, shared);
  dot = block_sum(dot, shared);
  if (threadIdx.x == 0) set_close(n, c, channels, sum, dot, static_cast<double>(rows));
}

}  // namespace
}  // namespace sknet::cuda
