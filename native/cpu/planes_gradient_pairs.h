// gradient_batch() of planes_gradient.h for operands that are multiplied in pairs: the sum runs over pixels, so the pairs are of
// neighbouring output pixels. One permutation of both pixels' words laces them, and spreads a channel over its group's lanes as well. For
// groups narrower than a vector.
#pragma once

#include "cpu/planes_taps.h"

namespace sknet::cpu {
namespace {

// Taps handled together, so that their accumulators fit the registers.
template <int W>
constexpr int tap_batch() {
  return 3;
}

using PairWords = uint16_t __attribute__((vector_size(2 * kLanes * sizeof(uint16_t))));

// The words of two pixels `step` operands apart; LAST: of the first, and zeros.
template <bool LAST>
SKNET_INLINE __m512i two_pixels(const Operand* p, int64_t step) {
  if constexpr (LAST) return _mm512_maskz_loadu_epi64(0x0f, p);
  if (step == kLanes) return _mm512_loadu_si512(p);
  const auto pixel = [](const Operand* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); };
  return _mm512_maskz_inserti64x4(0xff, _mm512_castsi256_si512(pixel(p)), pixel(p + step), 1);
}

// Lane l of the result is lane (l / W) W + J of both pixels; at W = 1 lane l.
// (Zero-masking by all ones here: without a mask gcc 12 warns of its own header.)
template <int W, int J>
SKNET_INLINE Vec lace(__m512i pixels) {
  PairWords index;
  for (int lane = 0; lane < kLanes; ++lane) {
    index[2 * lane] = lane / W * W + J;
    index[2 * lane + 1] = kLanes + lane / W * W + J;
  }
  return reinterpret_cast<Vec>(_mm512_maskz_permutexvar_epi16(~__mmask32{}, reinterpret_cast<__m512i>(index), pixels));
}

template <int W, int TB, int CHANNELS, int J>
SKNET_INLINE void slide_pairs(Vec (&acc)[TB][CHANNELS], __m512i x, const Vec (&d)[TB]) {
  const Vec v = lace<W, J>(x);
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) acc[b][J] = multiply_dot(acc[b][J], v, d[b]);
  if constexpr (J + 1 < W) slide_pairs<W, TB, CHANNELS, J + 1>(acc, x, d);
}

template <int W, int CHANNELS, int J>
SKNET_INLINE void gradient_pairs(Vec (&acc)[CHANNELS], __m512i x, Vec d) {
  acc[J] = multiply_dot(acc[J], lace<W, J>(x), d);
  if constexpr (J + 1 < W) gradient_pairs<W, CHANNELS, J + 1>(acc, x, d);
}

template <int W, int TB, bool SLIDE, bool LAST, int CHANNELS>
SKNET_INLINE void multiply_pair(Vec (&acc)[TB][CHANNELS], const Operand* x, int64_t x_step, int64_t tap, const Operand* dy) {
  if constexpr (SLIDE) {
    Vec d[TB];
#pragma GCC unroll 4
    for (int b = 0; b < TB; ++b) d[b] = lace<1, 0>(two_pixels<LAST>(dy - b * tap, kLanes));
    slide_pairs<W, TB, CHANNELS, 0>(acc, two_pixels<LAST>(x, kLanes), d);
  } else {
    const Vec d = lace<1, 0>(two_pixels<LAST>(dy, kLanes));
#pragma GCC unroll 4
    for (int b = 0; b < TB; ++b) {
      gradient_pairs<W, CHANNELS, 0>(acc[b], two_pixels<LAST>(x + b * tap, x_step), d);
    }
  }
}

// TB taps of one row of the kernel, from x at the first of them. SLIDE: an input pixel meets, one tap after the other, TB output pixels, so
// that its channels are spread over the lanes once; beyond the row's ends it meets zeros.
template <int W, int TB, bool SLIDE>
[[gnu::noinline]] void gradient_batch(const GradientPlanes& p, const Operand* x, float* gradient) {
  Vec acc[TB][W];
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < W; ++j) acc[b][j] = Vec{};
  }
  const int64_t tap = static_cast<int64_t>(p.dilation) * kLanes, step = static_cast<int64_t>(p.stride) * kLanes;
  const int pixels = p.cols + (SLIDE ? (TB - 1) * p.dilation : 0);
  for (int row = 0; row < p.rows; ++row) {
    const Operand* xp = x + static_cast<int64_t>(row) * p.stride * p.x_row;
    const Operand* dp = p.dy + row * p.dy_row;
    for (int pair = 0; pair < pixels / 2; ++pair, xp += 2 * step, dp += 2 * kLanes) {
      multiply_pair<W, TB, SLIDE, false>(acc, xp, step, tap, dp);
    }
    if (pixels % 2 != 0) multiply_pair<W, TB, SLIDE, true>(acc, xp, step, tap, dp);
  }
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < W; ++j) {
      float* g = gradient + (b * W + j) * kLanes;
      store(g, load(g) + acc[b][j]);
    }
  }
}

}  // namespace
}  // namespace sknet::cpu
