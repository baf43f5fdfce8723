// Weight gradients on planes (planes.h): for one block of outputs and one of inputs, gradient[tap][j] += sum over pixels of x's channel j
// times dy's lane, with the accumulators of several taps in registers.
#pragma once

#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
#include "cpu/planes_gradient_pairs.h"
#else
#include "cpu/planes_gradient_floats.h"
#endif
#include "cpu/planes_gradient_tiles.h"

namespace sknet::cpu {
namespace {

// ---- a whole vector a group: channels are broadcast from memory. Sums of products in pairs run over two images then, whose planes are
// laced: [rows][columns][kLanes][2].

constexpr int images_together(int width) { return width >= kLanes && !tiled(width) ? kDot : 1; }

// `planes` planes, `floats` apart, of two images (b: or null, then zeros) as laced ones.
inline void lace_planes(const float* a, const float* b, int planes, int64_t floats, float* laced) {
  if constexpr (kDot == 2) {
    for (int64_t plane = 0; plane < planes * floats; plane += floats) {
      for (int64_t at = 0; at < floats; at += kLanes) {
        lace_dots(operands(a + plane) + at, b == nullptr ? nullptr : operands(b + plane) + at, operands(laced + plane) + 2 * at);
      }
    }
  }
}

// One tap, for p.rows x p.cols outputs from x and dy.
[[gnu::noinline]] inline void gradient_tap(const GradientPlanes& p, const Operand* x, const Operand* dy, float* gradient) {
  Vec acc[kLanes];
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) acc[j] = load(gradient + j * kLanes);
  for (int row = 0; row < p.rows; ++row) {
    const Operand *xp = x + static_cast<int64_t>(row) * p.stride * p.x_row, *dp = dy + row * p.dy_row;
    for (int col = 0; col < p.cols; ++col, xp += p.stride * kLanes * kDot, dp += kLanes * kDot) {
      const Vec d = load_dot(dp);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) acc[j] = multiply_dot(acc[j], broadcast_dot(xp, j), d);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) store(gradient + j * kLanes, acc[j]);
}

// ---- all taps

// Outputs of one dimension whose tap, `offset` pixels from the first, lies within the input's `size` pixels.
struct Reach {
  int begin, end;
};
constexpr Reach reach(const GradientPlanes& p, int offset, int size, int outputs) {
  const int before = p.padding - offset;
  return {max_of(0, ceil_div(before, p.stride)), min_of(outputs, ceil_div(size + before, p.stride))};
}

template <int W, int TB>
inline void gradient_row(const GradientPlanes& p, bool slide, int& kw, const Operand* x, float* gradient) {
  for (; kw + TB <= p.kernel; kw += TB) {
    const Operand* from = x + static_cast<int64_t>(kw) * p.dilation * kLanes;
    float* to = gradient + static_cast<int64_t>(kw) * W * kLanes;
    if constexpr (TB > 1) {
      if (slide) {
        gradient_batch<W, TB, true>(p, from, to);
        continue;
      }
    }
    gradient_batch<W, TB, false>(p, from, to);
  }
}

// The taps of one row of the kernel, p cut to the outputs that it meets the input in, from x at its first tap.
template <int W>
inline void gradient_kernel_row(const GradientPlanes& p, const Operand* x, float* gradient) {
  if constexpr (W == kLanes) {
    for (int kw = 0; kw < p.kernel; ++kw) {
      const Reach cols = reach(p, kw * p.dilation, p.width, p.cols);
      GradientPlanes tap = p;
      tap.cols = cols.end - cols.begin;
      const int64_t from = (static_cast<int64_t>(kw) * p.dilation + cols.begin * p.stride) * kLanes * kDot;
      gradient_tap(tap, x + from, p.dy + static_cast<int64_t>(cols.begin) * kLanes * kDot, gradient + kw * W * kLanes);
    }
  } else {
    constexpr int kBatch = tap_batch<W>();
    const bool slide = p.stride == 1 && p.zeros >= (kBatch - 1) * p.dilation;
    int kw = 0;
    gradient_row<W, kBatch>(p, slide, kw, x, gradient);
    if constexpr (kBatch > 2) gradient_row<W, 2>(p, slide, kw, x, gradient);
    gradient_row<W, 1>(p, slide, kw, x, gradient);
  }
}

// gradient: [tap][block_width(width)][kLanes], added to.
inline void gradient_taps(int width, const GradientPlanes& p, float* gradient) {
  for_width(width, [&]<int W>() {
    for (int kh = 0; kh < p.kernel; ++kh) {
      const Reach rows = reach(p, kh * p.dilation, p.height, p.rows);
      GradientPlanes part = p;
      part.rows = rows.end - rows.begin;
      part.dy += rows.begin * p.dy_row;
      const int64_t first = static_cast<int64_t>(kh) * p.dilation + rows.begin * p.stride;
      gradient_kernel_row<W>(part, p.x + first * p.x_row, gradient + static_cast<int64_t>(kh) * p.kernel * W * kLanes);
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
