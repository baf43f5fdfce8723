// What a tile of grouped convolutions is made of, chunk by chunk, as it is brought into shared memory. A lane keeps its channels, so that
// their coefficients stay in registers.
#pragma once

#include <type_traits>

#include "cuda/grouped_plan.h"

namespace sknet::cuda {

// N elements as they lie.
template <class Elem, int N>
struct Packed {
  using Word = std::conditional_t<N * sizeof(Elem) == 16, uint4, uint2>;
  Word word;
  __device__ __forceinline__ void fetch(const void* memory, int64_t at) {
    word = __ldg(reinterpret_cast<const Word*>(static_cast<const Elem*>(memory) + at));
  }
  __device__ __forceinline__ void unpack(float (&v)[N]) const { load_chunk(reinterpret_cast<const Elem*>(&word), v); }
};

// Tensors as they lie, one a branch: copied without a register.
template <class Elem>
struct PlainFill {
  static constexpr bool kCopies = true;
  static constexpr int kEach = kChunk<Elem>;
  const Elem* x[kMaxBranches];
};

template <class Elem>
struct NormFill {
  static constexpr bool kCopies = false;
  static constexpr int kEach = kChunk<Elem>;  // channels of a lane where there are registers for their coefficients
  const Elem* x;
  Normalize norm;
  template <int N>
  struct Raw {
    Packed<Elem, N> x;
  };
  template <int N>
  struct Coefficients {
    float scale[N], shift[N];
  };
  template <int N>
  __device__ __forceinline__ void prepare(Coefficients<N>& k, int, int, int c) const {
    load_vector(norm.scale + c, k.scale);
    load_vector(norm.shift + c, k.shift);
  }
  template <int N>
  __device__ __forceinline__ void fetch(Raw<N>& raw, int, int64_t at) const {
    raw.x.fetch(x, at);
  }
  template <int N>
  __device__ __forceinline__ void make(const Coefficients<N>& k, const Raw<N>& raw, float (&v)[N]) const {
    raw.x.unpack(v);
#pragma unroll
    for (int q = 0; q < N; ++q) {
      v[q] = k.scale[q] * v[q] + k.shift[q];
      if (norm.relu) v[q] = fmaxf(v[q], 0);
    }
  }
};

// A gradient through the backward of a batch norm.
template <class Elem>
struct GradientFill {
  static constexpr bool kCopies = false;
  static constexpr int kEach = 4;  // channels of a lane where there are registers for their coefficients
  const Elem* dz;
  NormGradient norm;
  template <int N>
  struct Raw {
    Packed<Elem, N> dz, u;
  };
  template <int N>
  struct Coefficients {
    float gain[N], slope[N], mean[N], offset[N];
  };
  template <int N>
  __device__ __forceinline__ void prepare(Coefficients<N>& k, int, int, int c) const {
    load_vector(norm.gain + c, k.gain);
    load_vector(norm.slope + c, k.slope);
    load_vector(norm.mean + c, k.mean);
    load_vector(norm.offset + c, k.offset);
  }
  template <int N>
  __device__ __forceinline__ void fetch(Raw<N>& raw, int, int64_t at) const {
    raw.dz.fetch(dz, at);
    raw.u.fetch(norm.u, at);
  }
  template <int N>
  __device__ __forceinline__ void make(const Coefficients<N>& k, const Raw<N>& raw, float (&v)[N]) const {
    float u[N];
    raw.dz.unpack(v);
    raw.u.unpack(u);
#pragma unroll
    for (int q = 0; q < N; ++q) v[q] = k.gain[q] * v[q] + (k.slope[q] * (u[q] - k.mean[q]) - k.offset[q]);
  }
};

// The same as fill_tile() without arithmetic.
template <class Elem, int kSlabs>
__device__ __forceinline__ void copy_tile(const Elem* x, int image, int c0, int channels, int source_h, int source_w, int row, int col,
                                          int pixels, int cols, const FastDiv& by_cols, char* tile) {
  constexpr int kAcross = kSlabs * kSlab / kChunk<Elem>, kPitchBytes = pixel_pitch<Elem>(kSlabs);
  const int t = static_cast<int>(threadIdx.x), apart = static_cast<int>(blockDim.x) / kAcross, c = c0 + t % kAcross * kChunk<Elem>;
  char* to = tile + t % kAcross * 16;
  const Elem* from = x + (static_cast<int64_t>(image) * source_h + row) * source_w * channels + static_cast<int64_t>(col) * channels + c;
#pragma unroll 4
  for (int pixel = t / kAcross; pixel < pixels; pixel += apart) {
    const int y = by_cols.quotient(pixel), at = pixel - y * cols;
    const bool inside = static_cast<unsigned>(row + y) < static_cast<unsigned>(source_h) &&
                        static_cast<unsigned>(col + at) < static_cast<unsigned>(source_w) && c < channels;
    cp_async16(to + pixel * kPitchBytes, inside ? from + (y * source_w + at) * channels : x, inside);
  }
  cp_async_commit();
}

// Brings pixels row by row from (row, col) of an image's source on, `cols` a row; zeros outside it and beyond the channels. Channels c0 and
// on, kEach a lane, which fetches kBatch pixels before it makes the first. Callers wait for copies before their barrier.
template <class Elem, int kSlabs, int kEach, int kBatch, class Fill>
__device__ __forceinline__ void fill_tile(const Fill& fill, int m, int image, int c0, int channels, int source_h, int source_w, int row,
                                          int col, int pixels, int cols, const FastDiv& by_cols, char* tile) {
  if constexpr (Fill::kCopies) {
    return copy_tile<Elem, kSlabs>(fill.x[m], image, c0, channels, source_h, source_w, row, col, pixels, cols, by_cols, tile);
  } else {
    constexpr int kAcross = kSlabs * kSlab / kEach, kPitchBytes = pixel_pitch<Elem>(kSlabs);
    const int t = static_cast<int>(threadIdx.x), apart = static_cast<int>(blockDim.x) / kAcross;
    const int c = c0 + t % kAcross * kEach;
    typename Fill::template Coefficients<kEach> k{};
    if (c < channels) fill.prepare(k, m, image, c);
    char* to = tile + t % kAcross * kEach * static_cast<int>(sizeof(Elem));
#pragma unroll 1
    for (int first = t / kAcross; first < pixels; first += kBatch * apart) {
      typename Fill::template Raw<kEach> raw[kBatch];
      unsigned inside = 0;
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int pixel = first + i * apart, y = by_cols.quotient(pixel), x = pixel - y * cols;
        if (pixel < pixels && static_cast<unsigned>(row + y) < static_cast<unsigned>(source_h) &&
            static_cast<unsigned>(col + x) < static_cast<unsigned>(source_w) && c < channels) {
          inside |= 1u << i;
          fill.fetch(raw[i], m, ((static_cast<int64_t>(image) * source_h + row + y) * source_w + col + x) * channels + c);
        }
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int pixel = first + i * apart;
        if (pixel >= pixels) continue;
        float v[kEach] = {};
        if (inside >> i & 1) fill.make(k, raw[i], v);
        store_chunk(reinterpret_cast<Elem*>(to + pixel * kPitchBytes), v);
      }
    }
  }
}

}  // namespace sknet::cuda
