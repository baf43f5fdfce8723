// The second level of all sums over pixels. Blocks leave two float32 numbers a channel for each of their tiles; here they are added in
// float64 in an order that depends on the number of tiles alone, and what follows from them is written (normalize.h).
#pragma once

#include "cuda/chunk.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {

constexpr int kGroupTiles = 256;  // tiles that a group sums, where there are so many that groups are summed first
constexpr int kFewTiles = 2048;

// [tile][2][channels], and the pixels of each tile where the first number is their mean and the second their squared deviations from it;
// else both are plain sums. Sums of groups: [group][2][channels].
struct TileSums {
  float* sums = nullptr;
  float* pixels = nullptr;
  double* groups = nullptr;
  int tiles = 0, channels = 0;  // padded

  static constexpr int64_t group_count(int64_t tiles) { return tiles <= kFewTiles ? 0 : (tiles + kGroupTiles - 1) / kGroupTiles; }
  static constexpr int64_t floats(int64_t tiles, int channels, bool means) {
    return tiles * 2 * channels + (means ? (tiles + 3) / 4 * 4 : 0);
  }
  static size_t bytes(int64_t tiles, int channels, bool means) {
    return sizeof(float) * static_cast<size_t>(floats(tiles, channels, means)) +
           sizeof(double) * static_cast<size_t>(group_count(tiles) * 2 * channels);
  }
  static TileSums at(char* memory, int64_t tiles, int channels, bool means) {
    float* sums = reinterpret_cast<float*>(memory);
    return {sums, means ? sums + tiles * 2 * channels : nullptr, reinterpret_cast<double*>(sums + floats(tiles, channels, means)),
            static_cast<int>(tiles), channels};
  }
};

// What follows from channel c's mean and squared deviations. channels: unpadded; beyond them scale and shift are zero.
struct FinishStatistics {
  NormStatistics s;
  int channels;
  double rows;
  __device__ void operator()(int c, double mean, double squares) const {
    if (c >= channels) {
      s.mean[c] = s.invstd[c] = s.scale[c] = s.shift[c] = 0;
      return;
    }
    const double invstd = 1.0 / sqrt((squares > 0 ? squares : 0 * squares) / rows + s.eps);
    s.mean[c] = s.batch_mean[c] = static_cast<float>(mean);
    s.invstd[c] = static_cast<float>(invstd);
    s.batch_var[c] = static_cast<float>(squares / (rows - 1));
    s.scale[c] = static_cast<float>(s.gamma[c] * invstd);
    s.shift[c] = static_cast<float>(s.beta[c] - mean * s.scale[c]);  // with the scale as it was rounded: exact at the mean
  }
};

// What follows from channel c's sums of dz and of dz (u - mean).
struct FinishClose {
  NormClose n;
  int channels;
  double rows;
  __device__ void operator()(int c, double sum, double dot) const {
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
};

constexpr int kSumLanes = 128, kSumChannels = 8;

// The sums of a channel over the block's lanes, blockDim.x / 8 for each of 8 channels, for the first of them. shared: two numbers a lane.
struct SumPair {
  double first, second;
};
__device__ __forceinline__ SumPair add_lanes(const SumPair& mine, double* shared) {
  const int t = static_cast<int>(threadIdx.x), lanes = static_cast<int>(blockDim.x);
  shared[t] = mine.first;
  shared[lanes + t] = mine.second;
  for (int half = lanes / 2; half >= kSumChannels; half /= 2) {
    __syncthreads();
    if (t < half) {
      shared[t] += shared[t + half];
      shared[lanes + t] += shared[lanes + t + half];
    }
  }
  return {shared[t], shared[lanes + t]};
}

// The caller's share of tiles begin to end of channel c, eight fetched at a time. Means are added as distances from the first tile's, so
// that nothing is lost however far they are from zero.
template <bool kMeans>
__device__ __forceinline__ SumPair add_tiles(const TileSums& t, int c, int begin, int end) {
  constexpr int kAtOnce = 8;
  const int lanes = static_cast<int>(blockDim.x) / kSumChannels, lane = static_cast<int>(threadIdx.x) / kSumChannels;
  const double pivot = kMeans ? t.sums[c] : 0;
  SumPair sum{0, 0};
  for (int tile = begin + lane; tile < end; tile += kAtOnce * lanes) {
    float a[kAtOnce], b[kAtOnce], pixels[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = tile + i * lanes;
      const float* from = t.sums + static_cast<int64_t>(at) * 2 * t.channels + c;
      a[i] = at < end ? __ldg(from) : 0;
      b[i] = at < end ? __ldg(from + t.channels) : 0;
      if constexpr (kMeans) pixels[i] = at < end ? __ldg(t.pixels + at) : 0;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if constexpr (kMeans) {
        const double distance = a[i] - pivot;
        sum.first += pixels[i] * distance;
        sum.second += b[i] + pixels[i] * distance * distance;
      } else {
        sum.first += a[i];
        sum.second += b[i];
      }
    }
  }
  return sum;
}

constexpr int kGroupLanes = 32;

template <bool kMeans>
__global__ void __launch_bounds__(kGroupLanes* kSumChannels) group_tile_sums(TileSums t) {
  SIMT_SHARED(double[2 * kGroupLanes * kSumChannels], shared);
  const int c = static_cast<int>(blockIdx.x) * kSumChannels + static_cast<int>(threadIdx.x) % kSumChannels;
  const int begin = static_cast<int>(blockIdx.y) * kGroupTiles;
  const SumPair sum = add_lanes(add_tiles<kMeans>(t, c, begin, min(begin + kGroupTiles, t.tiles)), shared);
  if (threadIdx.x >= kSumChannels) return;
  double* to = t.groups + static_cast<int64_t>(blockIdx.y) * 2 * t.channels + c;
  to[0] = sum.first;
  to[t.channels] = sum.second;
}

// 8 channels a block, blockDim.x / 8 lanes each. groups: 0 where tiles are summed at once.
template <class Finish>
__global__ void __launch_bounds__(kSumLanes* kSumChannels) finish_tile_sums(TileSums t, int groups, double rows, Finish finish) {
  SIMT_DYN_SHARED(double, shared);
  const int lanes = static_cast<int>(blockDim.x) / kSumChannels, lane = static_cast<int>(threadIdx.x) / kSumChannels;
  const int c = static_cast<int>(blockIdx.x) * kSumChannels + static_cast<int>(threadIdx.x) % kSumChannels;
  SumPair sum{0, 0};
  if (groups == 0) {
    sum = t.pixels == nullptr ? add_tiles<false>(t, c, 0, t.tiles) : add_tiles<true>(t, c, 0, t.tiles);
  } else {
#pragma unroll 4
    for (int group = lane; group < groups; group += lanes) {
      const double* from = t.groups + static_cast<int64_t>(group) * 2 * t.channels + c;
      sum.first += from[0];
      sum.second += from[t.channels];
    }
  }
  sum = add_lanes(sum, shared);
  if (lane > 0) return;
  if (t.pixels == nullptr) {
    finish(c, sum.first, sum.second);
  } else {
    finish(c, t.sums[c] + sum.first / rows, sum.second - sum.first * sum.first / rows);
  }
}

template <class Finish>
inline void launch_finish(const TileSums& t, const Finish& finish, void* stream) {
  const int groups = static_cast<int>(TileSums::group_count(t.tiles)), blocks = t.channels / kSumChannels;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(groups));
  if (groups > 0 && t.pixels != nullptr) SIMT_LAUNCH(group_tile_sums<true>, grid, kGroupLanes * kSumChannels, 0, stream, t);
  if (groups > 0 && t.pixels == nullptr) SIMT_LAUNCH(group_tile_sums<false>, grid, kGroupLanes * kSumChannels, 0, stream, t);
  int lanes = 4;
  while (lanes < kSumLanes && lanes * 2 < (groups > 0 ? groups : t.tiles)) lanes *= 2;
  const int threads = lanes * kSumChannels;
  SIMT_LAUNCH((finish_tile_sums<Finish>), blocks, threads, sizeof(double) * 2 * static_cast<size_t>(threads), stream, t, groups,
              finish.rows, finish);
}

}  // namespace sknet::cuda
