// Outputs too large to stay in cache until they are read are written past it, which spares reading that memory first.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int64_t kPastCache = 8 << 20;  // bytes
// stride: pixels between one write and the next. A part of a line would be read and written back at once.
inline bool past_cache(const void* memory, int64_t elems, int stride = 1) {
  const bool whole_lines = stride == 1 || kLanes * sizeof(Elem) % 64 == 0;
  return whole_lines && elems * static_cast<int64_t>(sizeof(Elem)) >= kPastCache && reinterpret_cast<uintptr_t>(memory) % 64 == 0;
}

SKNET_INLINE void store_past_cache(Elem* p, Vec v) {
#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v))));
#elif defined(SKNET_STORE_BF16) && defined(__AVX512F__)
  Elem elems[kLanes];
  store(elems, v);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(elems)));
#elif defined(SKNET_STORE_BF16)
  store(p, v);
#elif defined(__AVX512F__)
  _mm512_stream_ps(p, reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  _mm256_stream_ps(p, reinterpret_cast<__m256>(v));
#else
  store(p, v);
#endif
}

// Before another thread may read.
SKNET_INLINE void end_past_cache() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// Calls f(put) with put(p, v) that stores, past the cache or not.
template <class F>
SKNET_INLINE void with_store(bool past, const F& f) {
  if (past) {
    f([](Elem* p, Vec v) { store_past_cache(p, v); });
    end_past_cache();
  } else {
    f([](Elem* p, Vec v) { store(p, v); });
  }
}

}  // namespace
}  // namespace sknet::cpu
