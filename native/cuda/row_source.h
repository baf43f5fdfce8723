// How a lane brings chunks of the pixels that a product reads into shared memory: first copied as they lie, asynchronously; when they have
// arrived, the lane that copied a chunk passes it through a batch norm, or makes it of several, in place, before the barrier that shows it
// to the others. A pixel outside the source stays zero.
#pragma once

#include "cuda/chunk.h"
#include "cuda/conv_axis.h"
#include "ops/selection.h"

namespace sknet::cuda {

// Shared memory of a block such that another fits beside it on a processor.
constexpr int kBlockShared = 96 * 1024;
// Steps of a product that are in shared memory at a time.
constexpr int stages_of(int stage_bytes) { return 3 * stage_bytes <= kBlockShared ? 3 : 2; }
// Tiles of a source beside which there is room for one of the other operand that is kWideCols wide.
constexpr int kMostWideTiles = 2;

// As it is. arrive() is told the first of the chunk's channels, and which row of the convolution's pixels reads it.
template <class Elem>
struct PlainSource {
  using Type = Elem;
  static constexpr int kTiles = 1;  // tiles in shared memory, one behind the other
  static constexpr bool kReads = false, kGathers = false;
  const Elem* x;
  __device__ __forceinline__ void issue(char* to, int, int64_t at, bool wanted) const { cp_async16(to, x + (wanted ? at : 0), wanted); }
  __device__ __forceinline__ void arrive(char*, int, int, int) const {}
};

// Through scale, shift and ReLU.
template <class Elem>
struct NormSource {
  using Type = Elem;
  static constexpr int kTiles = 1;
  static constexpr bool kReads = true, kGathers = false;
  const Elem* x;
  Normalize norm;
  __device__ __forceinline__ void issue(char* to, int, int64_t at, bool wanted) const { cp_async16(to, x + (wanted ? at : 0), wanted); }
  __device__ __forceinline__ void arrive(char* chunk, int, int c, int) const {
    float v[kChunk<Elem>];
    Elem* at = reinterpret_cast<Elem*>(chunk);
    load_chunk(at, v);
    normalize(norm, c, v);
    store_chunk(at, v);
  }
};

// A gradient through the backward of a batch norm; the norm's input u is copied into a second tile.
template <class Elem>
struct GradientSource {
  using Type = Elem;
  static constexpr int kTiles = 2;
  static constexpr bool kReads = true, kGathers = false;
  const Elem* dz;
  NormGradient norm;
  __device__ __forceinline__ void issue(char* to, int tile_bytes, int64_t at, bool wanted) const {
    const int64_t from = wanted ? at : 0;
    cp_async16(to, dz + from, wanted);
    cp_async16(to + tile_bytes, static_cast<const Elem*>(norm.u) + from, wanted);
  }
  __device__ __forceinline__ void arrive(char* chunk, int tile_bytes, int c, int) const {
    float v[kChunk<Elem>], u[kChunk<Elem>];
    Elem* at = reinterpret_cast<Elem*>(chunk);
    load_chunk(at, v);
    load_chunk(reinterpret_cast<const Elem*>(chunk + tile_bytes), u);
    norm_gradient(norm, c, u, v);
    store_chunk(at, v);
  }
};

// Made of the branches of an SK unit: each has a tile, the first of which is where the sum goes.
template <class Elem, int kBranches>
struct SelectSource {
  using Type = Elem;
  static constexpr int kTiles = kBranches;
  static constexpr bool kReads = true, kGathers = false;
  const Elem* u[kBranches];
  const float* scale[kBranches];
  const float* shift[kBranches];
  const float* attention;  // or null
  int channels;
  int64_t branch;    // numbers of attention a branch
  FastDiv by_image;  // a row's image
  __device__ __forceinline__ void issue(char* to, int tile_bytes, int64_t at, bool wanted) const {
    const int64_t from = wanted ? at : 0;
#pragma unroll
    for (int m = 0; m < kBranches; ++m) cp_async16(to + m * tile_bytes, u[m] + from, wanted);
  }
  // Four channels a time, for want of registers.
  __device__ __forceinline__ void arrive(char* chunk, int tile_bytes, int c, int row) const {
    const float* weight = attention == nullptr ? nullptr : attention + static_cast<int64_t>(by_image.quotient(row)) * channels + c;
#pragma unroll 1
    for (int q = 0; q < kChunk<Elem>; q += 4) {
      char* const at = chunk + q * static_cast<int>(sizeof(Elem));
      float v[4] = {};
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        float z[4], s[4], t[4], a[4] = {1, 1, 1, 1};
        load_chunk(reinterpret_cast<const Elem*>(at + m * tile_bytes), z);
        load_vector(scale[m] + c + q, s);
        load_vector(shift[m] + c + q, t);
        if (weight != nullptr) load_vector(weight + m * branch + q, a);
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] += a[i] * max_nan(s[i] * z[i] + t[i], 0);
      }
      store_chunk(reinterpret_cast<Elem*>(at), v);
    }
  }
};

// The network's input, float32 NHWC without padding between pixels. The summed dimension is (tap, channel) without gaps; numbers are
// fetched one by one, as three channels fill no chunk.
template <class Elem>
struct RowsSource {
  using Type = Elem;
  static constexpr int kTiles = 1;
  static constexpr bool kReads = false, kGathers = true;
  const float* x;
  int kernel, dilation, channels;
  FastDiv by_channels, by_kernel;

  // The chunk from k on of two rows, 64 apart in the tile.
  template <int kRows>
  __device__ __forceinline__ void gather(int h, int w, const LaneRow (&row)[kRows], int k, char* to, int row_bytes) const {
    float v[kRows][kChunk<Elem>];
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      const int tap = by_channels.quotient(k + q), channel = k + q - tap * channels, tap_h = by_kernel.quotient(tap);
      const int dh = tap_h * dilation, dw = (tap - tap_h * kernel) * dilation;
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const bool in = static_cast<unsigned>(row[i].h + dh) < static_cast<unsigned>(h) &&
                        static_cast<unsigned>(row[i].w + dw) < static_cast<unsigned>(w) && tap_h < kernel;
        v[i][q] = in ? __ldg(x + static_cast<int64_t>(row[i].pixel + dh * w + dw) * channels + channel) : 0;
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) store_chunk(reinterpret_cast<Elem*>(to + i * row_bytes), v[i]);
  }
};

}  // namespace sknet::cuda
