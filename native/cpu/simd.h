// Vectors of the instruction set this file is being compiled for. native/cpu's kernel files are compiled once per instruction set
// (CMakeLists.txt) inside a namespace of its name.
//
// Rule for those files: nothing with external linkage but the candidates themselves. No standard library containers, no inline
// functions from shared headers: the linker would merge copies built for different instruction sets and a CPU without AVX-512 could
// be handed the AVX-512 one. Hence the anonymous namespace here and in every header the kernels include.
#pragma once

#include <cstddef>
#include <cstdint>

#ifndef SKNET_ISA
#error "kernel files are compiled with SKNET_ISA set to portable, avx2 or avx512"
#endif

// Register tiles travel between the layers of a kernel as references to arrays; only inlined do they stay in registers.
#define SKNET_INLINE [[gnu::always_inline]] inline

namespace sknet::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * sizeof(float))));
using IntVec = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

// What activations are stored as.
using Elem = float;

inline Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

inline void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof(v)); }

// x - 0 is x whatever x is, so this is one broadcast; 0 + x would have to turn -0 into 0 first.
inline Vec set1(float x) { return x - Vec{}; }

// The first n of kLanes, zeros beyond.
inline Vec load_part(const float* p, int n) {
  if (n >= kLanes) return load(p);
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}

inline void store_part(float* p, Vec v, int n) {
  if (n >= kLanes) return store(p, v);
  float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}

// Lane l of the result is lane index[l] of v.
inline Vec shuffle(Vec v, IntVec index) {
#if defined(__clang__)
  Vec out;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = v[index[lane]];  // constant indices become one instruction
  return out;
#else
  return __builtin_shuffle(v, index);
#endif
}

// max(v, 0); a NaN stays one, so that a diverged step is seen in its loss.
inline Vec relu(Vec v) {
  const Vec zero{};
  return zero > v ? zero : v;
}

// v where z > 0, else 0.
inline Vec where_positive(Vec z, Vec v) {
  const Vec zero{};
  return z > zero ? v : zero;
}

// A float64 sum a lane, for what batch norm over few rows will magnify.
using HalfVec = float __attribute__((vector_size(kLanes / 2 * sizeof(float))));
using WideVec = double __attribute__((vector_size(kLanes / 2 * sizeof(double))));  // half the lanes
struct WideSum {
  WideVec low{}, high{};
  SKNET_INLINE void add(Vec v) {
    HalfVec half[2];
    __builtin_memcpy(half, &v, sizeof(v));
    low += __builtin_convertvector(half[0], WideVec);
    high += __builtin_convertvector(half[1], WideVec);
  }
  void store_to(double* p) const {
    __builtin_memcpy(p, &low, sizeof(low));
    __builtin_memcpy(p + kLanes / 2, &high, sizeof(high));
  }
};

// Runs are short (a pixel's channels): plain vectors beat memcpy's call and its rep movs.
inline void copy_floats(float* dst, const float* src, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dst + i, load(src + i));
  for (; i < n; ++i) dst[i] = src[i];
}
inline void zero_floats(float* dst, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dst + i, Vec{});
  for (; i < n; ++i) dst[i] = 0;
}

template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}
template <class T>
constexpr T min_of(T a, T b) {
  return a < b ? a : b;
}
template <class T>
constexpr T max_of(T a, T b) {
  return a > b ? a : b;
}

// Items a parallel loop is cut into at least, where the problem allows: a function of nothing but this constant and the shape, so
// that partial sums do not depend on the thread count.
constexpr int kMinItems = 16;

}  // namespace
}  // namespace sknet::cpu
