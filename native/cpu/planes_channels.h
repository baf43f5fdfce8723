// How input pixels of planes.h meet the weights: a pixel's channel, or pair of channels, spread over the lanes of its group.
#pragma once

#include "cpu/planes.h"

namespace sknet::cpu {
namespace {

// Lane l of the result is lane (l / W) W + J of x: input channel J of l's group.
template <int W, int J>
SKNET_INLINE Vec group_channel(Vec x) {
  if constexpr (W == 1) {
    return x;
  } else {
    IntVec index;
    for (int lane = 0; lane < kLanes; ++lane) index[lane] = lane / W * W + J;
    return shuffle(x, index);
  }
}

// acc[t] += sum over K taps, SPACING outputs apart, of channel(pixel) times the tap's weights: each pixel is loaded once for all of them.
template <int T, int K, int SPACING, class Channel>
SKNET_INLINE void multiply_pixels(Vec (&acc)[T], const Operand* weights, int64_t w_col, const Channel& channel) {
  Vec w[K];
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k) w[k] = load_dot(weights + k * w_col);
#pragma GCC unroll 32
  for (int q = 0; q < T + (K - 1) * SPACING; ++q) {
    const Vec v = channel(q);
#pragma GCC unroll 4
    for (int k = 0; k < K; ++k) {
      const int t = q - k * SPACING;
      if (t >= 0 && t < T) acc[t] = multiply_dot(acc[t], v, w[k]);
    }
  }
}

// STEP: pixels between the inputs of neighbouring outputs, known at compile time so that a tile's addresses are one register and
// constants; 0: `step` operands, known at run time.
#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
template <int W, int T, int STEP, int K, int SPACING>
SKNET_INLINE void multiply_channels(Vec (&acc)[T], const Operand* x, int64_t step, const Operand* weights, int64_t w_col) {
  const auto pixel = [&x, step](int q) { return STEP > 0 ? x + q * STEP * kLanes : x + q * step; };
  if constexpr (W == 1) {
    multiply_pixels<T, K, SPACING>(acc, weights, w_col, [&](int q) {
      const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel(q)));
      return reinterpret_cast<Vec>(_mm512_maskz_cvtepu16_epi32(0xffff, words));
    });
  } else if constexpr (W == kLanes) {
    for (int pair = 0; pair < W / 2; ++pair) {
      multiply_pixels<T, K, SPACING>(acc, weights + pair * 2 * kLanes, w_col, [&](int q) { return broadcast_dot(pixel(q), pair); });
    }
  } else {
    IntVec index;
    for (int lane = 0; lane < kLanes; ++lane) index[lane] = lane / W * (W / 2);
    for (int pair = 0; pair < W / 2; ++pair, index += 1) {
      asm("" : "+r"(x), "+v"(index));
      multiply_pixels<T, K, SPACING>(acc, weights + pair * 2 * kLanes, w_col, [&](int q) {
        const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel(q)));
        return shuffle(reinterpret_cast<Vec>(_mm512_castsi256_si512(words)), index);
      });
    }
  }
}
#else
template <int W, int T, int STEP, int K, int SPACING, int J = 0>
SKNET_INLINE void multiply_channels(Vec (&acc)[T], const float* x, int64_t step, const float* weights, int64_t w_col) {
  const auto pixel = [&x, step](int q) { return STEP > 0 ? x + q * STEP * kLanes : x + q * step; };
  if constexpr (W == kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      multiply_pixels<T, K, SPACING>(acc, weights + j * kLanes, w_col, [&](int q) { return set1(pixel(q)[j]); });
    }
  } else if constexpr (W == 8) {
    constexpr int32_t kFirst[16] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8};
    IntVec index;
    __builtin_memcpy(&index, kFirst, sizeof(index));
    for (int j = 0; j < W; ++j, index += 1) {
      asm("" : "+r"(x));
      multiply_pixels<T, K, SPACING>(acc, weights + j * kLanes, w_col, [&](int q) { return shuffle(load(pixel(q)), index); });
    }
  } else {
    asm("" : "+r"(x));
    multiply_pixels<T, K, SPACING>(acc, weights + J * kLanes, w_col, [&](int q) { return group_channel<W, J>(load(pixel(q))); });
    if constexpr (J + 1 < W) multiply_channels<W, T, STEP, K, SPACING, J + 1>(acc, x, step, weights, w_col);
  }
}
#endif

}  // namespace
}  // namespace sknet::cpu
