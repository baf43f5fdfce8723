// Weight gradients on planes (planes.h): for one block of outputs and one of inputs, gradient[tap][j] += sum over pixels of x's channel j
// times dy's lane, with the accumulators of several taps in registers.
#pragma once

#include "cpu/planes_taps.h"

namespace sknet::cpu {
namespace {

struct GradientPlanes {
  const float* x;  // a plane at the first tap of output (0, 0)
  int64_t x_row;
  int stride, kernel, dilation;
  const float* dy;  // a gradient plane at output (0, 0)
  int64_t dy_row;
  int rows, cols;  // output
  int zeros;       // pixels of zeros before, between and after dy's rows
};

// Taps handled together, so that their accumulators fit the registers.
template <int W>
constexpr int tap_batch() {
  if (kLanes == 16) return W == kLanes ? 1 : 3;
  return W * 3 <= 12 ? (W == 4 && kLanes == 8 ? 2 : 3) : 1;
}

// Channel J of an x in memory; at 8 of 16 lanes in two steps, because indices for eight permutations would not fit the registers.
template <int W, int J>
SKNET_INLINE Vec channel_of(const float* x) {
  if constexpr (W == kLanes) {
    return set1(x[J]);
  } else if constexpr (W == 8) {
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

template <int W, int TB>
inline void gradient_row(const GradientPlanes& p, bool slide, int& kw, const float* x, float* gradient) {
  for (; kw + TB <= p.kernel; kw += TB) {
    const float* from = x + static_cast<int64_t>(kw) * p.dilation * kLanes;
    float* to = gradient + static_cast<int64_t>(kw) * W * kLanes;
    if constexpr (W < kLanes && TB > 1) {
      if (slide) {
        gradient_batch<W, TB, true>(p, from, to);
        continue;
      }
    }
    gradient_batch<W, TB, false>(p, from, to);
  }
}

// gradient: [tap][block_width(width)][kLanes], added to.
inline void gradient_taps(int width, const GradientPlanes& p, float* gradient) {
  for_width(width, [&]<int W>() {
    constexpr int kBatch = tap_batch<W>();
    const bool slide = p.stride == 1 && p.zeros >= (kBatch - 1) * p.dilation;
    for (int kh = 0; kh < p.kernel; ++kh) {
      const float* x = p.x + kh * p.dilation * p.x_row;
      float* to = gradient + static_cast<int64_t>(kh) * p.kernel * W * kLanes;
      int kw = 0;
      gradient_row<W, kBatch>(p, slide, kw, x, to);
      if constexpr (kBatch > 2) gradient_row<W, 2>(p, slide, kw, x, to);
      if constexpr (kBatch > 1) gradient_row<W, 1>(p, slide, kw, x, to);
    }
  });
}

// Images are cut into chunks for weight gradients, so that chunks x units gives enough items: from the shape alone.
constexpr int image_chunks(int n, int units) { return min_of(n, ceil_div(kMinItems, units)); }

// Adds up the chunks of a block's gradients [chunk][size] in order.
inline float* sum_chunks(float* gradients, int chunks, int64_t size) {
  for (int chunk = 1; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < size; i += kLanes) store(gradients + i, load(gradients + i) + load(gradients + chunk * size + i));
  }
  return gradients;
}

}  // namespace
}  // namespace sknet::cpu
