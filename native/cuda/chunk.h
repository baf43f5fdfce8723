// 16 bytes of one pixel's channels, what a lane moves at once, and the arithmetic of normalize.h on them.
#pragma once

#include "cuda/simt/simt.h"
#include "ops/normalize.h"

namespace sknet::cuda {

template <class Elem>
inline constexpr int kChunk = 16 / static_cast<int>(sizeof(Elem));

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
__host__ __device__ constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }
// Channels of a pixel in memory, in either precision.
__host__ __device__ constexpr int padded(int channels) { return round_up(channels, 8); }

__device__ __forceinline__ void load_chunk(const float* p, float (&v)[4]) {
  const float4 raw = *reinterpret_cast<const float4*>(p);
  v[0] = raw.x;
  v[1] = raw.y;
  v[2] = raw.z;
  v[3] = raw.w;
}
__device__ __forceinline__ void load_chunk(const bf16* p, float (&v)[8]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(p);
  const uint32_t pairs[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = to_f(bf16{static_cast<uint16_t>(pairs[i] & 0xffff)});
    v[2 * i + 1] = to_f(bf16{static_cast<uint16_t>(pairs[i] >> 16)});
  }
}
__device__ __forceinline__ void load_chunk(const bf16* p, float (&v)[4]) {
  const uint2 raw = *reinterpret_cast<const uint2*>(p);
  v[0] = to_f(bf16{static_cast<uint16_t>(raw.x & 0xffff)});
  v[1] = to_f(bf16{static_cast<uint16_t>(raw.x >> 16)});
  v[2] = to_f(bf16{static_cast<uint16_t>(raw.y & 0xffff)});
  v[3] = to_f(bf16{static_cast<uint16_t>(raw.y >> 16)});
}
__device__ __forceinline__ void store_chunk(float* p, const float (&v)[4]) {
  *reinterpret_cast<float4*>(p) = float4{v[0], v[1], v[2], v[3]};
}
__device__ __forceinline__ void store_chunk(bf16* p, const float (&v)[8]) {
  *reinterpret_cast<uint4*>(p) = uint4{pack_bf(v[0], v[1]), pack_bf(v[2], v[3]), pack_bf(v[4], v[5]), pack_bf(v[6], v[7])};
}
__device__ __forceinline__ void store_chunk(bf16* p, const float (&v)[4]) {
  *reinterpret_cast<uint2*>(p) = uint2{pack_bf(v[0], v[1]), pack_bf(v[2], v[3])};
}

// A chunk as it lies, so that several are on their way before the first is unpacked.
template <class Elem>
__device__ __forceinline__ uint4 fetch_chunk(const Elem* p) {
  return *reinterpret_cast<const uint4*>(p);
}
template <class Elem>
__device__ __forceinline__ void unpack_chunk(const uint4& raw, float (&v)[kChunk<Elem>]) {
  load_chunk(reinterpret_cast<const Elem*>(&raw), v);
}

// N numbers, one a channel.
template <int N>
__device__ __forceinline__ void load_vector(const float* p, float (&v)[N]) {
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const float4 raw = __ldg(reinterpret_cast<const float4*>(p + i));
    v[i] = raw.x;
    v[i + 1] = raw.y;
    v[i + 2] = raw.z;
    v[i + 3] = raw.w;
  }
}

// x = relu?(scale u + shift) of the channels from c on.
template <int N>
__device__ __forceinline__ void normalize(const Normalize& n, int c, float (&v)[N]) {
  float scale[N], shift[N];
  load_vector(n.scale + c, scale);
  load_vector(n.shift + c, shift);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v[i] = scale[i] * v[i] + shift[i];
    if (n.relu) v[i] = fmaxf(v[i], 0);
  }
}

// du = gain dz + slope (u - mean) - offset. Four channels a time, for want of registers.
template <int N>
__device__ __forceinline__ void norm_gradient(const NormGradient& n, int c, const float (&u)[N], float (&dz)[N]) {
#pragma unroll
  for (int q = 0; q < N; q += 4) {
    float slope[4], mean[4], gain[4], offset[4];
    load_vector(n.slope + c + q, slope);
    load_vector(n.mean + c + q, mean);
    load_vector(n.gain + c + q, gain);
    load_vector(n.offset + c + q, offset);
#pragma unroll
    for (int i = 0; i < 4; ++i) dz[q + i] = gain[i] * dz[q + i] + (slope[i] * (u[q + i] - mean[i]) - offset[i]);
  }
}

}  // namespace sknet::cuda
