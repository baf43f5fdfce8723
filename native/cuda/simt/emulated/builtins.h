// CUDA's built-in variables and functions of block, warp and memory, for g++.
#pragma once

#include <math.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <source_location>

#include "cuda/simt/emulated/block.h"
#include "cuda/simt/number.h"

// CUDA's names, and its signatures.
// NOLINTBEGIN(readability-identifier-naming)

#define threadIdx (::simt::lane().thread)
#define blockIdx (::simt::block().block_index())
#define blockDim (::simt::block().block_size())
#define gridDim (::simt::block().grid_size())
constexpr int warpSize = 32;

#define SIMT_DYN_SHARED(T, name) T* name = reinterpret_cast<T*>(::simt::block().dynamic_shared())
#define SIMT_SHARED(T, name)            \
  static const char name##_simt_site{}; \
  auto& name = *static_cast<::simt::Same<T>*>(::simt::block().static_shared(&name##_simt_site, sizeof(::simt::Same<T>)))

namespace simt {

template <class T>
using Same = T;
using Here = std::source_location;

template <class T>
uint64_t to_slot(T v) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t slot = 0;
  memcpy(&slot, &v, sizeof(v));
  return slot;
}

// `from`: the lane whose value the caller gets; its own where `inside` is false.
template <class T>
T shuffle(uint32_t mask, T v, int from, bool inside, const Here& here) {
  const int line = static_cast<int>(here.line());
  const uint64_t* slots = block().meet(mask, to_slot(v), Meeting::kShuffle, line);
  if (!inside) return v;
  if ((mask >> from & 1) == 0) block().die("a shuffle, line %d, reads lane %d outside its mask", line, from);
  T result;
  memcpy(&result, &slots[from], sizeof(result));
  return result;
}

uint32_t vote(uint32_t mask, bool v, const Here& here);

template <class T>
std::atomic_ref<T> atomic(T* p) {
  return std::atomic_ref<T>(*p);
}

}  // namespace simt

// ---- block and warp

inline void __syncthreads(const simt::Here& here = simt::Here::current()) {
  simt::block().barrier(0, 0, static_cast<int>(here.line()), true);
}
inline void __syncwarp(uint32_t mask = ~0u, const simt::Here& here = simt::Here::current()) {
  simt::block().meet(mask, 0, simt::Meeting::kSyncwarp, static_cast<int>(here.line()));
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() {}

template <class T>
T __shfl_sync(uint32_t mask, T v, int from, int width = 32, const simt::Here& here = simt::Here::current()) {
  const int lane = simt::lane().in_warp;
  return simt::shuffle(mask, v, (lane & ~(width - 1)) + (from & (width - 1)), true, here);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T v, int bits, int width = 32, const simt::Here& here = simt::Here::current()) {
  const int lane = simt::lane().in_warp, from = lane ^ bits;
  return simt::shuffle(mask, v, from, from < (lane & ~(width - 1)) + width, here);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T v, unsigned by, int width = 32, const simt::Here& here = simt::Here::current()) {
  const int lane = simt::lane().in_warp;
  return simt::shuffle(mask, v, lane + static_cast<int>(by), (lane & (width - 1)) + static_cast<int>(by) < width, here);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T v, unsigned by, int width = 32, const simt::Here& here = simt::Here::current()) {
  const int lane = simt::lane().in_warp;
  return simt::shuffle(mask, v, lane - static_cast<int>(by), (lane & (width - 1)) >= static_cast<int>(by), here);
}
inline uint32_t __ballot_sync(uint32_t mask, int v, const simt::Here& here = simt::Here::current()) {
  return simt::vote(mask, v != 0, here);
}
inline int __any_sync(uint32_t mask, int v, const simt::Here& here = simt::Here::current()) { return simt::vote(mask, v != 0, here) != 0; }
inline int __all_sync(uint32_t mask, int v, const simt::Here& here = simt::Here::current()) { return simt::vote(mask, v == 0, here) == 0; }

namespace sknet::cuda {

inline void named_barrier(int id, int lanes, const simt::Here& here = simt::Here::current()) {
  simt::block().barrier(id, lanes, static_cast<int>(here.line()), true);
}
inline void named_barrier_arrive(int id, int lanes, const simt::Here& here = simt::Here::current()) {
  simt::block().barrier(id, lanes, static_cast<int>(here.line()), false);
}

}  // namespace sknet::cuda

// ---- memory

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return simt::atomic(p).fetch_add(v);
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  T old = simt::atomic(p).load();
  while (old < v && !simt::atomic(p).compare_exchange_weak(old, v)) {
  }
  return old;
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  T old = simt::atomic(p).load();
  while (v < old && !simt::atomic(p).compare_exchange_weak(old, v)) {
  }
  return old;
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return simt::atomic(p).exchange(v);
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  simt::atomic(p).compare_exchange_strong(expected, v);
  return expected;
}

// ---- arithmetic

inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline double rsqrt(double v) { return 1.0 / std::sqrt(v); }
inline float __expf(float v) { return std::exp(v); }
inline float __logf(float v) { return std::log(v); }
// Rounded one by one, where the compiler may otherwise make one operation of two.
inline float __fmul_rn(float a, float b) {
  const volatile float product = a * b;
  return product;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdividef(float a, float b) { return a / b; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline float __uint_as_float(unsigned v) {
  float f;
  memcpy(&f, &v, sizeof(f));
  return f;
}
inline unsigned __float_as_uint(float f) {
  unsigned v;
  memcpy(&v, &f, sizeof(v));
  return v;
}
#define SIMT_MIN_MAX(type)                                  \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(int64_t)
SIMT_MIN_MAX(uint64_t)
#undef SIMT_MIN_MAX
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }

namespace sknet::cuda {

inline float max_nan(float a, float b) { return a != a || b != b ? std::nanf("") : std::fmax(a, b); }

}  // namespace sknet::cuda

// NOLINTEND(readability-identifier-naming)
