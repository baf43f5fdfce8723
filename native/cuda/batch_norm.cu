// batch_norm, one pass each: what other ops could not do in passing.
#include "cuda/elem.h"
#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "cuda/tile_sums.h"
#include "ops/batch_norm.h"

namespace sknet::cuda {
namespace {

// Two sums of a tile, for each channel, from all lanes' float32 sums: in `warps`, then f(channel, first, second).
template <class Elem, class F>
__device__ __forceinline__ void add_up_tile(const RowTiles& t, const float (&first)[kChunk<Elem>], const float (&second)[kChunk<Elem>],
                                            const F& f) {
  constexpr int kWarps = kTileLanes / 32;
  SIMT_SHARED(float[kWarps][8][2 * kChunk<Elem>], warps);
  const int lane = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < 2 * kChunk<Elem>; ++k) {
    float sum = k < kChunk<Elem> ? first[k % kChunk<Elem>] : second[k % kChunk<Elem>];
    for (int d = t.across(); d < 32; d <<= 1) sum += __shfl_xor_sync(~0u, sum, d);
    if ((lane & 31) < t.across()) warps[lane >> 5][lane & (t.across() - 1)][k] = sum;
  }
  __syncthreads();
  const int width = t.across() * kChunk<Elem>, c = static_cast<int>(blockIdx.y) * width + lane;
  if (lane >= width || c >= t.channels) return;
  float total[2] = {};
  for (int w = 0; w < kWarps; ++w) {
    total[0] += warps[w][lane / kChunk<Elem>][lane % kChunk<Elem>];
    total[1] += warps[w][lane / kChunk<Elem>][kChunk<Elem> + lane % kChunk<Elem>];
  }
  f(c, total[0], total[1]);
}

// Mean and squared deviations of a tile. Distances are taken from the tile's first row, so that nothing is lost however far the mean is
// from zero.
template <class Elem>
__global__ void __launch_bounds__(kTileLanes) tile_statistics(const Elem* u, RowTiles t, TileSums out) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * t.tile_rows();
  float pivot[kChunk<Elem>] = {}, sum[kChunk<Elem>] = {}, squares[kChunk<Elem>] = {};
  if (lane.c < t.channels) load_chunk(u + first_row * t.channels + lane.c, pivot);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    float v[kChunk<Elem>];
    load_chunk(u + row * t.channels + lane.c, v);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      const float distance = v[q] - pivot[q];
      sum[q] += distance;
      squares[q] += distance * distance;
    }
  }
  const float rows = static_cast<float>(lane.end - first_row);
  add_up_tile<Elem>(t, sum, squares, [&](int c, float distance, float of_squares) {
    const float mean = distance / rows;
    float* to = out.sums + static_cast<int64_t>(blockIdx.x) * 2 * t.channels + c;
    to[0] = to_f(u[first_row * t.channels + c]) + mean;
    to[t.channels] = of_squares - distance * mean;
    if (c == 0) out.pixels[blockIdx.x] = rows;
  });
}

template <class Elem>
size_t statistics_workspace(const BatchNormProblem& p) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  return TileSums::bytes(t.tiles(), t.channels, true);
}

template <class Elem>
void statistics(const BatchNormProblem& p, const BatchNormStatisticsArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  const TileSums sums = TileSums::at(exec.workspace, t.tiles(), t.channels, true);
  SIMT_LAUNCH(tile_statistics<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, static_cast<const Elem*>(a.u), t, sums);
  launch_finish(sums, FinishStatistics{a.statistics, p.c, static_cast<double>(p.rows())}, exec.stream);
}

__global__ void fold_channels(BatchNormFoldArgs a, int c, int channels) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= channels) return;
  // In float64: the mean may be large against what is left after it is subtracted.
  const double scale = i < c ? a.gamma[i] / sqrt(static_cast<double>(a.running_var[i]) + a.eps) : 0;
  a.scale[i] = static_cast<float>(scale);
  a.shift[i] = i < c ? static_cast<float>(a.beta[i] - static_cast<double>(a.running_mean[i]) * a.scale[i]) : 0;
}

void fold(const BatchNormProblem& p, const BatchNormFoldArgs& a, const Exec& exec) {
  SIMT_LAUNCH(fold_channels, ceil_div(padded(p.c), 128), 128, 0, exec.stream, a, p.c, padded(p.c));
}

template <class Elem>
__global__ void __launch_bounds__(kTileLanes, 3) apply_rows(BatchNormApplyArgs a, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const Elem* residual = static_cast<const Elem*>(a.residual);
  if (lane.row >= lane.end) return;
  float scale[kChunk<Elem>], shift[kChunk<Elem>], other_scale[kChunk<Elem>], other_shift[kChunk<Elem>] = {};
  load_vector(a.norm.scale + lane.c, scale);
  load_vector(a.norm.shift + lane.c, shift);
#pragma unroll
  for (int q = 0; q < kChunk<Elem>; ++q) other_scale[q] = 1;
  if (a.residual_norm.scale != nullptr) {
    load_vector(a.residual_norm.scale + lane.c, other_scale);
    load_vector(a.residual_norm.shift + lane.c, other_shift);
  }
  for_rows<2, 2>(
      lane,
      [&](int64_t row, uint4(&raw)[2]) {
        const int64_t at = row * t.channels + lane.c;
        raw[0] = fetch_chunk(static_cast<const Elem*>(a.u) + at);
        raw[1] = residual != nullptr ? fetch_chunk(residual + at) : uint4{0, 0, 0, 0};
      },
      [&](int64_t row, const uint4(&raw)[2]) {
        float v[kChunk<Elem>], other[kChunk<Elem>];
        unpack_chunk<Elem>(raw[0], v);
        unpack_chunk<Elem>(raw[1], other);
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) {
          float x = residual == nullptr ? 0.0f : other_scale[q] * other[q] + other_shift[q];
          if (a.residual_norm.relu) x = relu(x);
          v[q] = scale[q] * v[q] + shift[q] + x;
          if (a.relu) v[q] = relu(v[q]);
        }
        store_chunk(static_cast<Elem*>(a.y) + row * t.channels + lane.c, v);
      });
}

template <class Elem>
void apply(const BatchNormProblem& p, const BatchNormApplyArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  SIMT_LAUNCH(apply_rows<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, a, t);
}

template <class Elem>
__global__ void __launch_bounds__(kTileLanes, 2) close_rows(BatchNormCloseArgs a, RowTiles t, TileSums out) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const NormClose& n = a.close;
  float mean[kChunk<Elem>], scale[kChunk<Elem>], shift[kChunk<Elem>], sum[kChunk<Elem>] = {}, dot[kChunk<Elem>] = {};
  load_for<Elem>(n.mean, lane.c, t.channels, mean);
  load_for<Elem>(n.scale, lane.c, t.channels, scale);
  load_for<Elem>(n.shift, lane.c, t.channels, shift);
  for_rows<4, 2>(
      lane,
      [&](int64_t row, uint4(&raw)[4]) {
        const int64_t at = row * t.channels + lane.c;
        const uint4 nothing{0, 0, 0, 0};
        raw[0] = fetch_chunk(static_cast<const Elem*>(a.dy) + at);
        raw[1] = fetch_chunk(static_cast<const Elem*>(n.u) + at);
        raw[2] = n.add != nullptr ? fetch_chunk(static_cast<const Elem*>(n.add) + at) : nothing;
        raw[3] = n.output != nullptr ? fetch_chunk(static_cast<const Elem*>(n.output) + at) : nothing;
      },
      [&](int64_t row, const uint4(&raw)[4]) {
        float g[kChunk<Elem>], u[kChunk<Elem>], more[kChunk<Elem>], output[kChunk<Elem>];
        unpack_chunk<Elem>(raw[0], g);
        unpack_chunk<Elem>(raw[1], u);
        unpack_chunk<Elem>(raw[2], more);
        unpack_chunk<Elem>(raw[3], output);
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) {
          g[q] += more[q];
          if (n.relu && !((n.output == nullptr ? scale[q] * u[q] + shift[q] : output[q]) > 0)) g[q] = 0;
          sum[q] += g[q];
          dot[q] += g[q] * (u[q] - mean[q]);
        }
        if (a.dz != nullptr) store_chunk(static_cast<Elem*>(a.dz) + row * t.channels + lane.c, g);
      });
  add_up_tile<Elem>(t, sum, dot, [&](int c, float of_sum, float of_dot) {
    float* to = out.sums + static_cast<int64_t>(blockIdx.x) * 2 * t.channels + c;
    to[0] = of_sum;
    to[t.channels] = of_dot;
  });
}

template <class Elem>
size_t close_workspace(const BatchNormProblem& p) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  return TileSums::bytes(t.tiles(), t.channels, false);
}

template <class Elem>
void close(const BatchNormProblem& p, const BatchNormCloseArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  const TileSums sums = TileSums::at(exec.workspace, t.tiles(), t.channels, false);
  SIMT_LAUNCH(close_rows<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, a, t, sums);
  launch_finish(sums, FinishClose{a.close, p.c, static_cast<double>(p.rows())}, exec.stream);
}

template <class Elem>
__global__ void __launch_bounds__(kTileLanes) gradient_rows(BatchNormGradientArgs a, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  float mean[kChunk<Elem>], gain[kChunk<Elem>], slope[kChunk<Elem>], offset[kChunk<Elem>];
  load_vector(a.norm.mean + lane.c, mean);
  load_vector(a.norm.gain + lane.c, gain);
  load_vector(a.norm.slope + lane.c, slope);
  load_vector(a.norm.offset + lane.c, offset);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int64_t at = row * t.channels + lane.c;
    float dz[kChunk<Elem>], u[kChunk<Elem>];
    load_chunk(static_cast<const Elem*>(a.dz) + at, dz);
    load_chunk(static_cast<const Elem*>(a.norm.u) + at, u);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) dz[q] = gain[q] * dz[q] + (slope[q] * (u[q] - mean[q]) - offset[q]);
    store_chunk(static_cast<Elem*>(a.du) + at, dz);
  }
}

template <class Elem>
void gradient(const BatchNormProblem& p, const BatchNormGradientArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.rows(), p.c);
  SIMT_LAUNCH(gradient_rows<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, a, t);
}

}  // namespace

const BatchNormStatistics batch_norm_statistics_plain_fp32{"one_read", nullptr, statistics_workspace<float>, nullptr, statistics<float>};
const BatchNormStatistics batch_norm_statistics_plain_bf16{"one_read", nullptr, statistics_workspace<bf16>, nullptr, statistics<bf16>};
const BatchNormFold batch_norm_fold_channels{"one_pass", nullptr, nullptr, nullptr, fold};
const BatchNormApply batch_norm_apply_plain_fp32{"one_pass", nullptr, nullptr, nullptr, apply<float>};
const BatchNormApply batch_norm_apply_plain_bf16{"one_pass", nullptr, nullptr, nullptr, apply<bf16>};
const BatchNormClose batch_norm_close_plain_fp32{"one_pass", nullptr, close_workspace<float>, nullptr, close<float>};
const BatchNormClose batch_norm_close_plain_bf16{"one_pass", nullptr, close_workspace<bf16>, nullptr, close<bf16>};
const BatchNormGradient batch_norm_gradient_plain_fp32{"one_pass", nullptr, nullptr, nullptr, gradient<float>};
const BatchNormGradient batch_norm_gradient_plain_bf16{"one_pass", nullptr, nullptr, nullptr, gradient<bf16>};

}  // namespace sknet::cuda
