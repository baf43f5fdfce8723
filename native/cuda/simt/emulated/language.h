// CUDA's words and vector types for g++.
#pragma once

#include <cstdint>

// CUDA's names, all of them.
// NOLINTBEGIN(readability-identifier-naming, bugprone-macro-parentheses)

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local  // a block stays on one OS thread
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}  // NOLINT(google-explicit-constructor): as CUDA's
};

#define SIMT_VECTOR_TYPES(name, type)                                                     \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                \
  struct alignas(sizeof(type) == 8 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; }; \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                        \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SIMT_VECTOR_TYPES(int, int)
SIMT_VECTOR_TYPES(uint, unsigned)
SIMT_VECTOR_TYPES(float, float)
SIMT_VECTOR_TYPES(double, double)
#undef SIMT_VECTOR_TYPES

// NOLINTEND(readability-identifier-naming, bugprone-macro-parentheses)
