// gradient_batch() of planes_gradient.h for operands that are multiplied in pairs: the sum runs over pixels, so the pairs are of
// neighbouring output pixels. One permutation of both pixels' words laces them, and spreads a channel over its group's lanes as well.
#pragma once

#include "cpu/planes_taps.h"

namespace sknet::cpu {
namespace {

// Taps handled together, so that their accumulators fit the registers, with at most kMostChannels channels.
template <int W>
constexpr int tap_batch() {
  return 3;
}
constexpr int kMostChannels = 8;

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

// At a whole vector a group channels are broadcast from memory, where the laced pixels are put for that.
template <int CHANNELS>
SKNET_INLINE void broadcast_pairs(Vec (&acc)[CHANNELS], __m512i x, int first, Vec d) {
  alignas(64) Operand laced[2 * kLanes];
  const Vec v = lace<1, 0>(x);
  __builtin_memcpy(laced, &v, sizeof(v));
  asm("" : "+m"(laced));  // or gcc takes the channels from the register, one by one
#pragma GCC unroll 8
  for (int j = 0; j < CHANNELS; ++j) acc[j] = multiply_dot(acc[j], broadcast_dot(laced + 2 * first, j), d);
}

template <int W, int TB, bool SLIDE, bool LAST, int CHANNELS>
SKNET_INLINE void multiply_pair(Vec (&acc)[TB][CHANNELS], const Operand* x, int64_t x_step, int64_t tap, const Operand* dy, int first) {
  if constexpr (SLIDE) {
    Vec d[TB];
#pragma GCC unroll 4
    for (int b = 0; b < TB; ++b) d[b] = lace<1, 0>(two_pixels<LAST>(dy - b * tap, kLanes));
    slide_pairs<W, TB, CHANNELS, 0>(acc, two_pixels<LAST>(x, kLanes), d);
  } else {
    const Vec d = lace<1, 0>(two_pixels<LAST>(dy, kLanes));
#pragma GCC unroll 4
    for (int b = 0; b < TB; ++b) {
      const __m512i pixels = two_pixels<LAST>(x + b * tap, x_step);
      if constexpr (W == kLanes) {
        broadcast_pairs<CHANNELS>(acc[b], pixels, first, d);
      } else {
        gradient_pairs<W, CHANNELS, 0>(acc[b], pixels, d);
      }
    }
  }
}

// TB taps of one row of the kernel, from x at the first of them, of the channels from `first`. SLIDE: an input pixel meets, one tap after
// the other, TB output pixels, so that its channels are spread over the lanes once; beyond the row's ends it meets zeros.
template <int W, int TB, bool SLIDE>
[[gnu::noinline]] void gradient_channels(const GradientPlanes& p, const Operand* x, int first, float* gradient) {
  constexpr int kChannels = min_of(W, kMostChannels);
  Vec acc[TB][kChannels];
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < kChannels; ++j) acc[b][j] = Vec{};
  }
  const int64_t tap = static_cast<int64_t>(p.dilation) * kLanes, step = static_cast<int64_t>(p.stride) * kLanes;
  const int pixels = p.cols + (SLIDE ? (TB - 1) * p.dilation : 0);
  for (int row = 0; row < p.rows; ++row) {
    const Operand* xp = x + static_cast<int64_t>(row) * p.stride * p.x_row;
    const Operand* dp = p.dy + row * p.dy_row;
    for (int pair = 0; pair < pixels / 2; ++pair, xp += 2 * step, dp += 2 * kLanes) {
      multiply_pair<W, TB, SLIDE, false>(acc, xp, step, tap, dp, first);
    }
    if (pixels % 2 != 0) multiply_pair<W, TB, SLIDE, true>(acc, xp, step, tap, dp, first);
  }
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < kChannels; ++j) {
      float* g = gradient + (b * W + first + j) * kLanes;
      store(g, load(g) + acc[b][j]);
    }
  }
}

template <int W, int TB, bool SLIDE>
inline void gradient_batch(const GradientPlanes& p, const Operand* x, float* gradient) {
  for (int first = 0; first < W; first += kMostChannels) gradient_channels<W, TB, SLIDE>(p, x, first, gradient);
}

// ---- a whole vector a group at stride 1: an input pixel meets the output pixels of TB taps of one column of the kernel, each in its own
// row, so that a channel is broadcast once for all of them and nothing beyond a row's ends is multiplied.

template <int FIRST, int LAST_TAP, bool LAST, int TB>
SKNET_INLINE void multiply_rows(Vec (&acc)[TB][kMostChannels], const Operand* x, const Operand* dy, int64_t dy_tap, int first) {
  alignas(64) Operand laced[2 * kLanes];
  const Vec v = lace<1, 0>(two_pixels<LAST>(x, kLanes));
  __builtin_memcpy(laced, &v, sizeof(v));
  asm("" : "+m"(laced));
  Vec d[TB];
#pragma GCC unroll 4
  for (int b = FIRST; b <= LAST_TAP; ++b) d[b] = lace<1, 0>(two_pixels<LAST>(dy - b * dy_tap, kLanes));
#pragma GCC unroll 8
  for (int j = 0; j < kMostChannels; ++j) {
    const Vec channel = broadcast_dot(laced + 2 * first, j);
#pragma GCC unroll 4
    for (int b = FIRST; b <= LAST_TAP; ++b) acc[b][j] = multiply_dot(acc[b][j], channel, d[b]);
  }
}

// Rows of x that meet the taps FIRST to LAST_TAP: a loop of its own for each such range, in the order of the rows.
template <int FIRST, int LAST_TAP, int TB>
SKNET_INLINE void multiply_range(Vec (&acc)[TB][kMostChannels], const GradientPlanes& p, const Operand* x, int row, int end, int first) {
  for (; row < end; ++row) {
    const Operand *xp = x + row * p.x_row, *dp = p.dy + row * p.dy_row;
    for (int pair = 0; pair < p.cols / 2; ++pair, xp += 2 * kLanes, dp += 2 * kLanes) {
      multiply_rows<FIRST, LAST_TAP, false>(acc, xp, dp, p.dilation * p.dy_row, first);
    }
    if (p.cols % 2 != 0) multiply_rows<FIRST, LAST_TAP, true>(acc, xp, dp, p.dilation * p.dy_row, first);
  }
}

// Tap b meets the rows [b dilation, b dilation + rows).
template <int FIRST, int LAST_TAP, int TB>
SKNET_INLINE void multiply_ranges(Vec (&acc)[TB][kMostChannels], const GradientPlanes& p, const Operand* x, int first) {
  const int before = FIRST == 0 ? 0 : (FIRST - 1) * p.dilation + p.rows;  // where the tap before FIRST has ended
  const int after = LAST_TAP + 1 == TB ? TB * p.dilation + p.rows : (LAST_TAP + 1) * p.dilation;
  const int begin = max_of(before, LAST_TAP * p.dilation), end = min_of(after, FIRST * p.dilation + p.rows);
  multiply_range<FIRST, LAST_TAP>(acc, p, x, begin, end, first);
  if constexpr (LAST_TAP + 1 < TB) {
    multiply_ranges<FIRST, LAST_TAP + 1>(acc, p, x, first);
  } else if constexpr (FIRST + 1 < TB) {
    multiply_ranges<FIRST + 1, FIRST + 1>(acc, p, x, first);
  }
}

template <int TB>
[[gnu::noinline]] void gradient_column(const GradientPlanes& p, const Operand* x, int first, float* gradient) {
  Vec acc[TB][kMostChannels];
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < kMostChannels; ++j) acc[b][j] = Vec{};
  }
  multiply_ranges<0, 0>(acc, p, x, first);
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 8
    for (int j = 0; j < kMostChannels; ++j) {
      float* g = gradient + (static_cast<int64_t>(b) * p.kernel * kLanes + first + j) * kLanes;
      store(g, load(g) + acc[b][j]);
    }
  }
}

template <int TB>
inline void gradient_columns(const GradientPlanes& p, int& kh, float* gradient) {
  for (; kh + TB <= p.kernel; kh += TB) {
    for (int kw = 0; kw < p.kernel; ++kw) {
      const Operand* x = p.x + kh * p.dilation * p.x_row + static_cast<int64_t>(kw) * p.dilation * kLanes;
      float* to = gradient + static_cast<int64_t>(kh * p.kernel + kw) * kLanes * kLanes;
      for (int first = 0; first < kLanes; first += kMostChannels) gradient_column<TB>(p, x, first, to);
    }
  }
}

// All taps, or false where that is no gain.
template <int W>
inline bool gradient_by_columns(const GradientPlanes& p, float* gradient) {
  if (W != kLanes || p.stride != 1) return false;
  int kh = 0;
  gradient_columns<3>(p, kh, gradient);
  gradient_columns<2>(p, kh, gradient);
  gradient_columns<1>(p, kh, gradient);
  return true;
}

}  // namespace
}  // namespace sknet::cpu
