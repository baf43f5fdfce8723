// What happens to the numbers of a product before they are written: a lane takes one chunk of channels down the rows of its tile.
#pragma once

#include "cuda/tile_sums.h"

namespace sknet::cuda {

template <class Elem>
struct SumState {
  float sum[kChunk<Elem>] = {}, dot[kChunk<Elem>] = {}, pivot[kChunk<Elem>] = {};
};

// y = v + bias.
template <class Elem>
struct BiasEpilogue {
  static constexpr bool kSums = false;
  struct State {
    float bias[kChunk<Elem>] = {};
  };
  Elem* y;
  const float* bias;  // or null
  __device__ __forceinline__ void begin(State& s, int c) const {
    if (bias != nullptr) load_vector(bias + c, s.bias);
  }
  __device__ __forceinline__ void first(State&, const float*) const {}
  __device__ __forceinline__ void row(State& s, int64_t at, float (&v)[kChunk<Elem>]) const {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) v[q] += s.bias[q];
    store_chunk(y + at, v);
  }
};

// The same, and y's mean and squared deviations in this tile. Distances are taken from the tile's first row, so that nothing is lost
// however far the mean is from zero.
template <class Elem>
struct StatisticsEpilogue {
  static constexpr bool kSums = true;
  struct State : SumState<Elem> {
    float bias[kChunk<Elem>] = {};
  };
  Elem* y;
  const float* bias;
  TileSums out;
  __device__ __forceinline__ void begin(State& s, int c) const {
    if (bias != nullptr) load_vector(bias + c, s.bias);
  }
  __device__ __forceinline__ void first(State& s, const float* v) const {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) s.pivot[q] = v[q] + s.bias[q];
  }
  __device__ __forceinline__ void row(State& s, int64_t at, float (&v)[kChunk<Elem>]) const {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      v[q] += s.bias[q];
      const float distance = v[q] - s.pivot[q];
      s.sum[q] += distance;
      s.dot[q] += distance * distance;
    }
    store_chunk(y + at, v);
  }
  __device__ __forceinline__ void finish(int tile, int c, float sum, float squares, float pivot, int pixels) const {
    float* to = out.sums + static_cast<int64_t>(tile) * 2 * out.channels + c;
    const float mean = pixels > 0 ? sum / static_cast<float>(pixels) : 0;
    to[0] = pivot + mean;
    to[out.channels] = squares - sum * mean;
    if (c == 0) out.pixels[tile] = static_cast<float>(pixels);
  }
};

// y = relu?(scale (v + bias) + shift + residual).
template <class Elem>
struct NormEpilogue {
  static constexpr bool kSums = false;
  struct State {
    float scale[kChunk<Elem>], shift[kChunk<Elem>];
  };
  Elem* y;
  const float* bias;
  Normalize norm;
  const Elem* residual;  // or null
  __device__ __forceinline__ void begin(State& s, int c) const {
    load_vector(norm.scale + c, s.scale);
    load_vector(norm.shift + c, s.shift);
    if (bias == nullptr) return;
    float b[kChunk<Elem>];
    load_vector(bias + c, b);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) s.shift[q] += s.scale[q] * b[q];
  }
  __device__ __forceinline__ void first(State&, const float*) const {}
  __device__ __forceinline__ void row(State& s, int64_t at, float (&v)[kChunk<Elem>]) const {
    float r[kChunk<Elem>] = {};
    if (residual != nullptr) load_chunk(residual + at, r);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      v[q] = s.scale[q] * v[q] + s.shift[q] + r[q];
      if (norm.relu) v[q] = fmaxf(v[q], 0);
    }
    store_chunk(y + at, v);
  }
};

// dx = v + add.
template <class Elem>
struct AddEpilogue {
  static constexpr bool kSums = false;
  struct State {};
  Elem* dx;
  const Elem* add;  // or null
  __device__ __forceinline__ void begin(State&, int) const {}
  __device__ __forceinline__ void first(State&, const float*) const {}
  __device__ __forceinline__ void row(State&, int64_t at, float (&v)[kChunk<Elem>]) const {
    if (add != nullptr) {
      float a[kChunk<Elem>];
      load_chunk(add + at, a);
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) v[q] += a[q];
    }
    store_chunk(dx + at, v);
  }
};

// dz = gate (v + add), and its two sums (normalize.h).
template <class Elem>
struct CloseEpilogue {
  static constexpr bool kSums = true;
  struct State : SumState<Elem> {
    int c;
  };
  Elem* dz;
  NormClose close;
  TileSums out;
  __device__ __forceinline__ void begin(State& s, int c) const { s.c = c; }
  __device__ __forceinline__ void first(State&, const float*) const {}
  // Vectors are fetched again for each row: they are in the first cache, and there are no registers to keep them.
  __device__ __forceinline__ void row(State& s, int64_t at, float (&v)[kChunk<Elem>]) const {
    float u[kChunk<Elem>];
    load_chunk(static_cast<const Elem*>(close.u) + at, u);
    if (close.add != nullptr) {
      float add[kChunk<Elem>];
      load_chunk(static_cast<const Elem*>(close.add) + at, add);
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) v[q] += add[q];
    }
    if (close.relu) {
      float gate[kChunk<Elem>];
      if (close.output != nullptr) {
        load_chunk(static_cast<const Elem*>(close.output) + at, gate);
      } else {
        float shift[kChunk<Elem>];
        load_vector(close.scale + s.c, gate);
        load_vector(close.shift + s.c, shift);
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) gate[q] = gate[q] * u[q] + shift[q];
      }
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) v[q] = gate[q] > 0 ? v[q] : 0;
    }
    float mean[kChunk<Elem>];
    load_vector(close.mean + s.c, mean);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      s.sum[q] += v[q];
      s.dot[q] += v[q] * (u[q] - mean[q]);
    }
    store_chunk(dz + at, v);
  }
  __device__ __forceinline__ void finish(int tile, int c, float sum, float dot, float, int) const {
    float* to = out.sums + static_cast<int64_t>(tile) * 2 * out.channels + c;
    to[0] = sum;
    to[out.channels] = dot;
  }
};

// Sums over the block's groups of lanes, each of which took distances from a pivot of its own.
template <class Epilogue>
__device__ __forceinline__ void finish_groups(const Epilogue& epilogue, const float* sums, int groups, int width, int t, int tile, int c) {
  const float *pivots = sums + groups * 2 * width, *counts = pivots + groups * width;
  float sum = 0, dot = 0, pivot = 0, count = 0;
  for (int i = 0; i < groups; ++i) {
    const float n = counts[i];
    if (n == 0) continue;
    if (count == 0) pivot = pivots[i * width + t];
    const float s = sums[i * 2 * width + t], away = pivots[i * width + t] - pivot;
    sum += s + n * away;
    dot += sums[(i * 2 + 1) * width + t] + away * (2 * s + n * away);
    count += n;
  }
  epilogue.finish(tile, c, sum, dot, pivot, static_cast<int>(count));
}

}  // namespace sknet::cuda
