// 16-bit floats as bits, the same on host, device and emulator.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define SIMT_BOTH __host__ __device__ inline
#else
#define SIMT_BOTH inline
#endif

namespace sknet::cuda {

// Named like the built-in types they stand beside.
// NOLINTBEGIN(readability-identifier-naming)
struct bf16 {
  uint16_t x;
};
struct fp16 {
  uint16_t x;
};
// NOLINTEND(readability-identifier-naming)

SIMT_BOTH float to_f(float v) { return v; }

SIMT_BOTH float to_f(bf16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.x) << 16;
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// Rounds to nearest even; any NaN becomes 0x7fff, as cvt.rn makes it.
SIMT_BOTH bf16 to_bf(float f) {
#ifdef __CUDACC__
  const __nv_bfloat16 rounded = __float2bfloat16_rn(f);
  bf16 v;
  memcpy(&v, &rounded, sizeof(v));
  return v;
#else
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  if ((bits & 0x7fffffff) > 0x7f800000) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
#endif
}

SIMT_BOTH float to_f(fp16 v) {
#ifdef __CUDACC__
  __half h;
  memcpy(&h, &v, sizeof(h));
  return __half2float(h);
#else
  const uint32_t sign = static_cast<uint32_t>(v.x & 0x8000) << 16, exponent = v.x >> 10 & 31, fraction = v.x & 0x3ff;
  float magnitude;
  if (exponent == 0) {
    magnitude = static_cast<float>(fraction) * 0x1p-24f;
  } else {
    const uint32_t bits = exponent == 31 ? 0x7f800000 | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    memcpy(&magnitude, &bits, sizeof(magnitude));
  }
  uint32_t bits;
  memcpy(&bits, &magnitude, sizeof(bits));
  bits |= sign;
  memcpy(&magnitude, &bits, sizeof(bits));
  return magnitude;
#endif
}

// Rounds to nearest even, beyond 65504 to infinity; any NaN becomes 0x7fff.
SIMT_BOTH fp16 to_fp16(float f) {
#ifdef __CUDACC__
  const __half rounded = __float2half_rn(f);
  fp16 v;
  memcpy(&v, &rounded, sizeof(v));
  return v;
#else
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  const uint32_t sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return {0x7fff};
  if (bits >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};
  if (bits < 0x38800000) {  // below 2^-14 steps are 2^-24: adding 1/2 leaves the rounded number of steps in the low bits
    float magnitude;
    memcpy(&magnitude, &bits, sizeof(magnitude));
    magnitude += 0.5f;
    memcpy(&bits, &magnitude, sizeof(bits));
    return {static_cast<uint16_t>(sign | (bits - 0x3f000000))};
  }
  return {static_cast<uint16_t>(sign | (bits + 0xfff + (bits >> 13 & 1) - (112u << 23)) >> 13)};
#endif
}

// Two elements in a register, `low` in the low half.
SIMT_BOTH uint32_t pack_bf(float low, float high) { return to_bf(low).x | static_cast<uint32_t>(to_bf(high).x) << 16; }
SIMT_BOTH uint32_t pack_fp16(float low, float high) { return to_fp16(low).x | static_cast<uint32_t>(to_fp16(high).x) << 16; }

}  // namespace sknet::cuda

#undef SIMT_BOTH
