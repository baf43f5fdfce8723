// Weight gradients on planes (planes.h): for one block of outputs and one of inputs, gradient[tap][j] += sum over pixels of x's channel j
// times dy's lane, with the accumulators of several taps in registers.
#pragma once

#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
#include "cpu/planes_gradient_pairs.h"
#else
#include "cpu/planes_gradient_floats.h"
#endif

namespace sknet::cpu {
namespace {

template <int W, int TB>
inline void gradient_row(const GradientPlanes& p, bool slide, int& kw, const Operand* x, float* gradient) {
  for (; kw + TB <= p.kernel; kw += TB) {
    const Operand* from = x + static_cast<int64_t>(kw) * p.dilation * kLanes;
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
    if (gradient_by_columns<W>(p, gradient)) return;
    constexpr int kBatch = tap_batch<W>();
    const bool slide = p.stride == 1 && p.zeros >= (kBatch - 1) * p.dilation;
    for (int kh = 0; kh < p.kernel; ++kh) {
      const Operand* x = p.x + kh * p.dilation * p.x_row;
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
