// The weights' gradients of octet_tile.h on the tensor cores: products over the pixels of a tile.
#pragma once

#include "cuda/octet_multiply.h"

namespace sknet::cuda::octets {

// Sums of a branch's gradient of the weights into one octet: fragments of 16 by 8, channels of output across. Down, wide: a pair of octets
// of input at a tap each. Narrow: the octet at two taps: left and middle of each row; right of the first and the last row; right of the
// middle row and nothing.
template <class Shape>
inline constexpr int kReduceSums = Shape::kSpan > 1 ? 9 * Shape::kHalves : 5;

// x: the first pixel of the patch and the first octet of input, in its window; du: the same of output.
template <class Shape, int kDilation>
__device__ __forceinline__ void reduce(const char* x, const char* du, float (&sum)[kReduceSums<Shape>][4]) {
  using Input = typename Shape::Input;
  using Gradient = typename Shape::Gradient;
  constexpr bool kWide = Shape::kSpan > 1;
  constexpr int D = kDilation, kStep = Shape::kStep;
  const int matrix = lane_of() >> 3, pixel = lane_of() & 7, lower = (matrix >> 1) * kStep * Input::kRowBytes + pixel * kPixelBytes;
  uint32_t g[2][4];
#pragma unroll
  for (int i = 0; i < 2; ++i) ldmatrix_x4_trans(g[i], du + Gradient::at(4 * i, 0) + matrix * Gradient::kRowBytes + pixel * kPixelBytes);
  const auto add = [&](float(&to)[4], const uint32_t(&quad)[4], int row) {
    const uint32_t pair[2] = {g[row / 4][row % 4], g[row / 4][row % 4 + 1]};
    mma_16816(to, quad, pair);
  };
  const char* at = x + lower + (kWide ? (matrix & 1) * 16 : Input::at(0, (matrix & 1) != 0 ? 0 : -D));
#pragma unroll
  for (int part = 0; part < (kWide ? 3 * Shape::kHalves : 1); ++part) {
    const int half = part / 3, kx = part % 3;
#pragma unroll
    for (int r = -D; r <= (kRows - 2) * kStep + D; ++r) {
      if (met(r, 0, D, kStep, kRows) < 0 && met(r, 1, D, kStep, kRows) < 0 && met(r, 2, D, kStep, kRows) < 0) continue;
      uint32_t quad[4];
      ldmatrix_x4_trans(quad, at + (kWide ? Input::at(r, (kx - 1) * D) + half * 32 : r * Input::kRowBytes));
#pragma unroll
      for (int ky = 0; ky < 3; ++ky) {
        const int row = met(r, ky, D, kStep, kRows);
        if (row >= 0) add(sum[kWide ? half * 9 + ky * 3 + kx : ky], quad, row);
      }
    }
  }
  if constexpr (!kWide) {
    const char *middle = x + lower + Input::at(0, D), *outer = middle + (matrix & 1) * 2 * D * Input::kRowBytes;
#pragma unroll
    for (int row = 0; row < kRows; row += 2) {
      uint32_t quad[4];
      ldmatrix_x4_trans(quad, outer + (row * kStep - D) * Input::kRowBytes);
      add(sum[3], quad, row);
      ldmatrix_x4_trans(quad, middle + row * kStep * Input::kRowBytes);
      add(sum[4], quad, row);
    }
  }
}

template <class Shape>
__device__ __forceinline__ void reduce(int dilation, const char* x, const char* du, float (&sum)[kReduceSums<Shape>][4]) {
  if (dilation == 1) {
    reduce<Shape, 1>(x, du, sum);
  } else {
    reduce<Shape, 2>(x, du, sum);
  }
}

}  // namespace sknet::cuda::octets
