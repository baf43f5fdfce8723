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

// acc[r][t] += sum over K taps, SPACING outputs apart, of channel(r, pixel) times the tap's weights: each pixel is loaded once for all of
// them, and the weights once for all R rows. EDGES: the first and last SPACING pixels are zeros.
template <int R, int T, int K, int SPACING, bool EDGES, class Channel>
SKNET_INLINE void multiply_pixels(Vec (&acc)[R][T], const Operand* weights, int64_t w_col, const Channel& channel) {
  constexpr int kEdge = EDGES ? SPACING : 0;
  Vec w[K];
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k) w[k] = load_dot(weights + k * w_col);
#pragma GCC unroll 32
  for (int q = kEdge; q < T + (K - 1) * SPACING - kEdge; ++q) {
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      const Vec v = channel(r, q);
#pragma GCC unroll 4
      for (int k = 0; k < K; ++k) {
        const int t = q - k * SPACING;
        if (t >= 0 && t < T) acc[r][t] = multiply_dot(acc[r][t], v, w[k]);
      }
    }
  }
}

// STEP: pixels between the inputs of neighbouring outputs, known at compile time so that a tile's addresses are one register and
// constants; 0: `step` operands, known at run time. x: the first pixel of each row; several rows only where a group takes whole vectors.
template <int STEP>
SKNET_INLINE const Operand* pixel_at(const Operand* x, int64_t step, int q) {
  return STEP > 0 ? x + q * STEP * kLanes : x + q * step;
}

#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
template <int W, int R, int T, int STEP, int K, int SPACING, bool EDGES>
SKNET_INLINE void multiply_channels(Vec (&acc)[R][T], const Operand* const (&x)[R], int64_t step, const Operand* weights, int64_t w_col) {
  if constexpr (W == kLanes) {
    for (int pair = 0; pair < W / 2; ++pair) {
      multiply_pixels<R, T, K, SPACING, EDGES>(acc, weights + pair * 2 * kLanes, w_col,
                                               [&](int r, int q) { return broadcast_dot(pixel_at<STEP>(x[r], step, q), pair); });
    }
  } else if constexpr (W == 1) {
    multiply_pixels<R, T, K, SPACING, EDGES>(acc, weights, w_col, [&](int, int q) {
      const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel_at<STEP>(x[0], step, q)));
      return reinterpret_cast<Vec>(_mm512_maskz_cvtepu16_epi32(0xffff, words));
    });
  } else {
    const Operand* from = x[0];
    IntVec index;
    for (int lane = 0; lane < kLanes; ++lane) index[lane] = lane / W * (W / 2);
    for (int pair = 0; pair < W / 2; ++pair, index += 1) {
      asm("" : "+r"(from), "+v"(index));
      multiply_pixels<R, T, K, SPACING, EDGES>(acc, weights + pair * 2 * kLanes, w_col, [&](int, int q) {
        const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel_at<STEP>(from, step, q)));
        return shuffle(reinterpret_cast<Vec>(_mm512_castsi256_si512(words)), index);
      });
    }
  }
}
#else
template <int W, int T, int STEP, int K, int SPACING, bool EDGES, int J>
SKNET_INLINE void multiply_channels_from(Vec (&acc)[1][T], const float* x, int64_t step, const float* weights, int64_t w_col) {
  asm("" : "+r"(x));
  multiply_pixels<1, T, K, SPACING, EDGES>(acc, weights + J * kLanes, w_col,
                                           [&](int, int q) { return group_channel<W, J>(load(pixel_at<STEP>(x, step, q))); });
  if constexpr (J + 1 < W) multiply_channels_from<W, T, STEP, K, SPACING, EDGES, J + 1>(acc, x, step, weights, w_col);
}

template <int W, int R, int T, int STEP, int K, int SPACING, bool EDGES>
SKNET_INLINE void multiply_channels(Vec (&acc)[R][T], const float* const (&x)[R], int64_t step, const float* weights, int64_t w_col) {
  if constexpr (W == kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      multiply_pixels<R, T, K, SPACING, EDGES>(acc, weights + j * kLanes, w_col,
                                               [&](int r, int q) { return set1(pixel_at<STEP>(x[r], step, q)[j]); });
    }
  } else if constexpr (W == 8) {
    const float* from = x[0];
    constexpr int32_t kFirst[16] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8};
    IntVec index;
    __builtin_memcpy(&index, kFirst, sizeof(index));
    for (int j = 0; j < W; ++j, index += 1) {
      asm("" : "+r"(from));
      multiply_pixels<R, T, K, SPACING, EDGES>(acc, weights + j * kLanes, w_col,
                                               [&](int, int q) { return shuffle(load(pixel_at<STEP>(from, step, q)), index); });
    }
  } else {
    multiply_channels_from<W, T, STEP, K, SPACING, EDGES, 0>(acc, x[0], step, weights, w_col);
  }
}
#endif

}  // namespace
}  // namespace sknet::cpu
