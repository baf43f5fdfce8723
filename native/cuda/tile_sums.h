// The second level of all sums over pixels. Blocks leave two float32 numbers a channel for each of their tiles; here they are added in
// float64 in an order that depends on the number of tiles alone, and what follows from them is written (normalize.h).
#pragma once

#include "cuda/chunk.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {

// [tile][2][channels], and the pixels of each tile where the first number is their mean and the second their squared deviations from it;
// else both are plain sums.
struct TileSums {
  float* sums = nullptr;
  float* pixels = nullptr;
  int tiles = 0, channels = 0;  // padded

  static size_t bytes(int64_t tiles, int channels, bool means) {
    return sizeof(float) * static_cast<size_t>(tiles * 2 * channels + (means ? (tiles + 3) / 4 * 4 : 0));
  }
  static TileSums at(char* memory, int64_t tiles, int channels, bool means) {
    float* sums = reinterpret_cast<float*>(memory);
    return {sums, means ? sums + tiles * 2 * channels : nullptr, static_cast<int>(tiles), channels};
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

// 8 channels a block, blockDim.x / 8 lanes each.
template <class Finish>
__global__ void __launch_bounds__(kSumLanes* kSumChannels) finish_tile_sums(TileSums t, double rows, Finish finish) {
  SIMT_DYN_SHARED(double, sums);  // [2][lanes][8]
  const int lanes = static_cast<int>(blockDim.x) / kSumChannels, lane = static_cast<int>(threadIdx.x) / kSumChannels;
  const int c = static_cast<int>(blockIdx.x) * kSumChannels + static_cast<int>(threadIdx.x) % kSumChannels;
  // Means are added as distances from the first one, so that nothing is lost however far they are from zero.
  const double pivot = t.pixels == nullptr ? 0 : t.sums[c];
  double first = 0, second = 0;
#pragma unroll 4
  for (int tile = lane; tile < t.tiles; tile += lanes) {
    const float* from = t.sums + static_cast<int64_t>(tile) * 2 * t.channels + c;
    const double a = from[0], b = from[t.channels];
    const double pixels = t.pixels == nullptr ? 1 : t.pixels[tile], distance = a - pivot;
    first += t.pixels == nullptr ? a : pixels * distance;
    second += t.pixels == nullptr ? b : b + pixels * distance * distance;
  }
  sums[threadIdx.x] = first;
  sums[blockDim.x + threadIdx.x] = second;
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
      sums[threadIdx.x] += sums[threadIdx.x + half * kSumChannels];
      sums[blockDim.x + threadIdx.x] += sums[blockDim.x + threadIdx.x + half * kSumChannels];
    }
  }
  if (lane > 0) return;
  first = sums[threadIdx.x];
  second = sums[blockDim.x + threadIdx.x];
  if (t.pixels == nullptr) {
    finish(c, first, second);
  } else {
    finish(c, pivot + first / rows, second - first * first / rows);
  }
}

template <class Finish>
inline void launch_finish(const TileSums& t, const Finish& finish, void* stream) {
  int lanes = 4;
  while (lanes < kSumLanes && lanes * 2 < t.tiles) lanes *= 2;
  const int threads = lanes * kSumChannels;
  SIMT_LAUNCH((finish_tile_sums<Finish>), t.channels / kSumChannels, threads, sizeof(double) * 2 * static_cast<size_t>(threads), stream, t,
              finish.rows, finish);
}

}  // namespace sknet::cuda
