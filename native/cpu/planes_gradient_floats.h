// gradient_batch() of planes_gradient.h for operands that are multiplied one by one and groups narrower than a vector.
#pragma once

#include "cpu/planes_taps.h"

namespace sknet::cpu {
namespace {

// Taps handled together, so that their accumulators fit the registers.
template <int W>
constexpr int tap_batch() {
  return W == 4 && kLanes == 8 ? 2 : 3;
}

// Channel J of an x in memory; at 8 of 16 lanes in two steps, because indices for eight permutations would not fit the registers.
template <int W, int J>
SKNET_INLINE Vec channel_of(const float* x) {
  if constexpr (W == 8) {
    IntVec half, within;
    for (int lane = 0; lane < kLanes; ++lane) {
      half[lane] = lane / 8 * 8 + J / 4 * 4 + lane % 4;
      within[lane] = lane / 4 * 4 + J % 4;
    }
    return shuffle(shuffle(load(x), half), within);
  } else {
    return group_channel<W, J>(load(x));
  }
}

template <int W, int TB, int J>
SKNET_INLINE void slide_channels(Vec (&acc)[TB][W], const float* x, const Vec (&d)[TB]) {
  const Vec v = channel_of<W, J>(x);
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) acc[b][J] += v * d[b];
  if constexpr (J + 1 < W) slide_channels<W, TB, J + 1>(acc, x, d);
}

template <int W, int J>
SKNET_INLINE void gradient_channels(Vec (&acc)[W], const float* x, Vec dy) {
  acc[J] += channel_of<W, J>(x) * dy;
  if constexpr (J + 1 < W) gradient_channels<W, J + 1>(acc, x, dy);
}

// TB taps of one row of the kernel, from x at the first of them. SLIDE: an input pixel meets, one tap after the other, TB output pixels, so
// that its channels are spread over the lanes once; beyond the row's ends it meets zeros.
template <int W, int TB, bool SLIDE>
[[gnu::noinline]] void gradient_batch(const GradientPlanes& p, const float* x, float* gradient) {
  Vec acc[TB][W];
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 16
    for (int j = 0; j < W; ++j) acc[b][j] = Vec{};
  }
  const int64_t tap = static_cast<int64_t>(p.dilation) * kLanes;
  for (int row = 0; row < p.rows; ++row) {
    const float* xp = x + static_cast<int64_t>(row) * p.stride * p.x_row;
    const float* dp = p.dy + row * p.dy_row;
    if constexpr (SLIDE) {
      for (int pixel = 0; pixel < p.cols + (TB - 1) * p.dilation; ++pixel, xp += kLanes, dp += kLanes) {
        Vec d[TB];
#pragma GCC unroll 4
        for (int b = 0; b < TB; ++b) d[b] = load(dp - b * tap);
        slide_channels<W, TB, 0>(acc, xp, d);
      }
    } else {
      for (int pixel = 0; pixel < p.cols; ++pixel, xp += p.stride * kLanes, dp += kLanes) {
        const Vec d = load(dp);
#pragma GCC unroll 4
        for (int b = 0; b < TB; ++b) gradient_channels<W, 0>(acc[b], xp + b * tap, d);
      }
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 16
    for (int j = 0; j < W; ++j) {
      float* g = gradient + (b * W + j) * kLanes;
      store(g, load(g) + acc[b][j]);
    }
  }
}

}  // namespace
}  // namespace sknet::cpu
