// Squares of kLanes vectors that are transposed in registers, and rows of weights or pixels laced into what dot products read (simd.h).
#pragma once

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

// Lane l of the result is lane index[l] of a and b, b's lanes counted on from a's.
SKNET_INLINE Vec shuffle(Vec a, Vec b, IntVec index) {
#if defined(__clang__)
  Vec out;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = index[lane] < kLanes ? a[index[lane]] : b[index[lane] - kLanes];
  return out;
#else
  return __builtin_shuffle(a, b, index);
#endif
}

// Lane i of row j and lane j of row i change places: first halves of the square, then halves of those.
template <int SIZE = kLanes / 2>
SKNET_INLINE void transpose(Vec (&rows)[kLanes]) {
  IntVec low, high;
  for (int lane = 0; lane < kLanes; ++lane) {
    low[lane] = (lane & SIZE) == 0 ? lane : kLanes + lane - SIZE;
    high[lane] = (lane & SIZE) == 0 ? lane + SIZE : kLanes + lane;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & SIZE) != 0) continue;
    const Vec a = rows[i], b = rows[i + SIZE];
    rows[i] = shuffle(a, b, low);
    rows[i + SIZE] = shuffle(a, b, high);
  }
  if constexpr (SIZE > 1) transpose<SIZE / 2>(rows);
}

#if defined(SKNET_STORE_BF16)
inline Vec round_to_elem(Vec v) {
  const BitsVec bits = reinterpret_cast<BitsVec>(v);
  return reinterpret_cast<Vec>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u);
}
#else
inline Vec round_to_elem(Vec v) { return v; }
#endif

// store_dots: kDot rows of weights, laced. lace_dots: kLanes operands of each of two, laced; b may be null, which is zeros.
#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
SKNET_INLINE void store_dots(Operand* p, const Vec* rows) {
  const BitsVec first = reinterpret_cast<BitsVec>(round_to_elem(rows[0])), second = reinterpret_cast<BitsVec>(round_to_elem(rows[1]));
  const BitsVec pairs = (first >> 16) | second;
  __builtin_memcpy(p, &pairs, sizeof(pairs));
}
SKNET_INLINE void lace_dots(const Operand* a, const Operand* b, Operand* to) {
  // As floats, of which the bfloat16 are the upper halves.
  const BitsVec low = reinterpret_cast<BitsVec>(load(a)) >> 16, high = b == nullptr ? BitsVec{} : reinterpret_cast<BitsVec>(load(b));
  const BitsVec both = low | high;
  __builtin_memcpy(to, &both, sizeof(both));
}
// Dot products run over pixels here, so two pixels' lanes are laced: [pixel / 2][kLanes][2], a zero pixel behind an odd last one.
// to may be from; `to` has an even number of pixels.
inline void lace_pixels(const Operand* from, int count, Operand* to) {
  __m512i order;
  uint16_t index[2 * kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    index[2 * lane] = static_cast<uint16_t>(lane);
    index[2 * lane + 1] = static_cast<uint16_t>(kLanes + lane);
  }
  __builtin_memcpy(&order, index, sizeof(order));
  int p = 0;
  for (; p + 2 <= count; p += 2) {
    _mm512_storeu_si512(to + p * kLanes, _mm512_permutexvar_epi16(order, _mm512_loadu_si512(from + p * kLanes)));
  }
  if (p == count) return;
  const __m512i last = _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + p * kLanes)));
  _mm512_storeu_si512(to + p * kLanes, _mm512_permutexvar_epi16(order, last));
}
#else
SKNET_INLINE void store_dots(Operand* p, const Vec* rows) { store(p, round_to_elem(rows[0])); }
SKNET_INLINE void lace_dots(const Operand* a, const Operand*, Operand* to) { store(to, load(a)); }
#endif

}  // namespace
}  // namespace sknet::cpu
