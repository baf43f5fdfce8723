// Sums of a gradient over its rows, per channel: a bias's gradient.
#pragma once

#include "core/exec.h"
#include "cuda/row_source.h"
#include "cuda/tile_sums.h"

namespace sknet::cuda {

constexpr int kSumRows = 512, kSumAcross = 8;  // rows of a block, chunks side by side

struct FinishBias {
  float* dbias;
  int channels;
  double rows;  // unused
  __device__ void operator()(int c, double sum, double) const {
    if (c < channels) dbias[c] = static_cast<float>(sum);
  }
};

template <class Elem>
__global__ void __launch_bounds__(256) sum_columns(const Elem* dy, NormGradient norm, int rows, TileSums out) {
  SIMT_DYN_SHARED(float, sums);  // [row lane][kSumAcross * kChunk]
  constexpr int kWidth = kSumAcross * kChunk<Elem>;
  const int t = static_cast<int>(threadIdx.x), c = static_cast<int>(blockIdx.x) * kWidth + t % kSumAcross * kChunk<Elem>;
  const int row0 = static_cast<int>(blockIdx.y) * kSumRows;
  float sum[kChunk<Elem>] = {};
  for (int r = t / kSumAcross; r < kSumRows && c < out.channels; r += 256 / kSumAcross) {
    if (row0 + r >= rows) break;
    const int64_t at = static_cast<int64_t>(row0 + r) * out.channels + c;
    float v[kChunk<Elem>];
    load_chunk(dy + at, v);
    if (norm.u != nullptr) {
      float u[kChunk<Elem>];
      load_chunk(static_cast<const Elem*>(norm.u) + at, u);
      norm_gradient(norm, c, u, v);
    }
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) sum[q] += v[q];
  }
#pragma unroll
  for (int q = 0; q < kChunk<Elem>; ++q) sums[t / kSumAcross * kWidth + t % kSumAcross * kChunk<Elem> + q] = sum[q];
  __syncthreads();
  const int column = static_cast<int>(blockIdx.x) * kWidth + t;
  if (t >= kWidth || column >= out.channels) return;
  float total = 0;
  for (int lane = 0; lane < 256 / kSumAcross; ++lane) total += sums[lane * kWidth + t];
  float* to = out.sums + static_cast<int64_t>(blockIdx.y) * 2 * out.channels + column;
  to[0] = total;
  to[out.channels] = 0;
}

inline int64_t column_sum_tiles(int64_t rows) { return (rows + kSumRows - 1) / kSumRows; }
inline size_t column_sums_workspace(int64_t rows, int channels) { return TileSums::bytes(column_sum_tiles(rows), padded(channels), false); }

template <class Elem>
void bias_gradient(const void* dy, const NormGradient& norm, int64_t rows, int channels, float* dbias, const Exec& exec) {
  constexpr int kWidth = kSumAcross * kChunk<Elem>;
  const TileSums sums = TileSums::at(exec.workspace, column_sum_tiles(rows), padded(channels), false);
  const dim3 grid(static_cast<unsigned>(ceil_div(padded(channels), kWidth)), static_cast<unsigned>(column_sum_tiles(rows)));
  SIMT_LAUNCH((sum_columns<Elem>), grid, 256, static_cast<int>(sizeof(float)) * 256 / kSumAcross * kWidth, exec.stream,
              static_cast<const Elem*>(dy), norm, static_cast<int>(rows), sums);
  launch_finish(sums, FinishBias{dbias, channels, static_cast<double>(rows)}, exec.stream);
}

}  // namespace sknet::cuda
