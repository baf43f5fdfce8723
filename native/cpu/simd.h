// Vectors of the instruction set this file is being compiled for. native/cpu's kernel files are compiled once per instruction set
// (CMakeLists.txt) inside a namespace of its name.
//
// Rule for those files: nothing with external linkage but the candidates themselves. No standard library containers, no inline
// functions from shared headers: the linker would merge copies built for different instruction sets and a CPU without AVX-512 could
// be handed the AVX-512 one. Hence the anonymous namespace here and in every header the kernels include.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(SKNET_STORE_BF16) && defined(__AVX512F__)
#include <immintrin.h>
#endif

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

// ---- what activations are stored as: float32, or bfloat16 in the kernels compiled with SKNET_STORE_BF16 (sums are float32 in both)

#if defined(SKNET_STORE_BF16)
struct Elem {
  uint16_t bits;
};
using ElemVec = uint16_t __attribute__((vector_size(kLanes * sizeof(uint16_t))));
using BitsVec = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));

inline Vec load(const Elem* p) {
#if defined(__AVX512F__)
  // One instruction and a shift; of the general form gcc makes five.
  const __m256i elems = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return reinterpret_cast<Vec>(reinterpret_cast<BitsVec>(_mm512_maskz_cvtepu16_epi32(0xffff, elems)) << 16);
#else
  ElemVec elems;
  __builtin_memcpy(&elems, p, sizeof(elems));
  return reinterpret_cast<Vec>(__builtin_convertvector(elems, BitsVec) << 16);
#endif
}

// Round to nearest, ties to even; a NaN stays one.
inline void store(Elem* p, Vec v) {
#if defined(__AVX512BF16__)
  const __m256bh rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
  __builtin_memcpy(p, &rounded, sizeof(rounded));
#else
  const BitsVec bits = reinterpret_cast<BitsVec>(v), rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const ElemVec elems = __builtin_convertvector(v == v ? rounded : BitsVec{} + 0x7fc0, ElemVec);
  __builtin_memcpy(p, &elems, sizeof(elems));
#endif
}

// One number; weights and other finite ones only.
inline uint16_t elem_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float round_to_elem(float x) {
  const uint32_t bits = static_cast<uint32_t>(elem_bits(x)) << 16;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

inline Vec load_part(const Elem* p, int n) {
  if (n >= kLanes) return load(p);
  Elem lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}

inline void store_part(Elem* p, Vec v, int n) {
  if (n >= kLanes) return store(p, v);
  Elem lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
#else
using Elem = float;
inline float round_to_elem(float x) { return x; }
#endif

// ---- asking for memory before it is needed: into L2, where a matrix product finds it a piece later

constexpr int kLineElems = 64 / static_cast<int>(sizeof(Elem));
inline void prefetch_line(const void* p) { __builtin_prefetch(p, 0, 2); }

// ---- what matrix products multiply: kDot neighbouring elements of the sum at a time. Two bfloat16 where the CPU has the instruction;
// else one float, to which bfloat16 is converted when it is copied.

#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
using Operand = Elem;
constexpr int kDot = 2;
inline Operand to_operand(float x) { return {elem_bits(x)}; }
SKNET_INLINE Vec broadcast_dot(const Operand* x, int i) {
  int32_t pair;
  __builtin_memcpy(&pair, x + 2 * i, sizeof(pair));
  return reinterpret_cast<Vec>(_mm512_set1_epi32(pair));
}
SKNET_INLINE Vec load_dot(const Operand* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
SKNET_INLINE Vec multiply_dot(Vec sum, Vec a, Vec b) {
  return reinterpret_cast<Vec>(
      _mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
}
#else
using Operand = float;
constexpr int kDot = 1;
inline Operand to_operand(float x) { return round_to_elem(x); }
SKNET_INLINE Vec broadcast_dot(const Operand* x, int i) { return set1(x[i]); }
SKNET_INLINE Vec load_dot(const Operand* p) { return load(p); }
SKNET_INLINE Vec multiply_dot(Vec sum, Vec a, Vec b) { return sum + a * b; }
#endif

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
