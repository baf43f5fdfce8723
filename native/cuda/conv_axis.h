// Where the taps of a convolution lie, along one axis, the same for a convolution and its transpose. Rows of a product are pixels; those of
// a transposed convolution with stride s fall into s phases an axis, within which the taps that meet are the same for all and the
// convolution has stride 1, so that no multiplication by a zero is done.
#pragma once

#include <numeric>

#include "cuda/simt/simt.h"
#include "ops/conv2d.h"

namespace sknet::cuda {

// n / d for 0 <= n < 2^31 by one multiplication (Granlund and Montgomery).
struct FastDiv {
  uint32_t d = 1, magic = 0, shift = 0;
  FastDiv() = default;
  explicit FastDiv(int divisor) : d(static_cast<uint32_t>(divisor)) {
    if (d == 1) return;
    while ((1u << shift) < d) ++shift;
    magic = static_cast<uint32_t>(((1ull << (31 + shift)) + d - 1) / d);
    --shift;
  }
  __device__ __forceinline__ int quotient(int n) const {
    if (d == 1) return n;
    return static_cast<int>((static_cast<uint64_t>(static_cast<uint32_t>(n)) * magic >> 32) >> shift);
  }
};

// Row a and valid tap i read source position a * step + base + i * reach; the row is written to position a * out_step + out_base.
struct ConvAxis {
  int rows, step, base;
  int taps, reach;
  int first_tap, tap_step;  // tap i is the kernel's tap first_tap + i * tap_step
  int source;               // positions of the source
  int out_step, out_base;
};

constexpr int kMostPhases = 4;

inline ConvAxis forward_axis(const Conv2dProblem& p, int size, int out_size) {
  return {out_size, p.stride, -p.padding, p.kernel, p.dilation, 0, 1, size, 1, 0};
}

// Input positions phase, phase + stride, ... and the taps that reach them from an output.
inline ConvAxis transposed_axis(const Conv2dProblem& p, int size, int out_size, int phase) {
  const int every = p.stride / std::gcd(p.stride, p.dilation), at = phase + p.padding;
  ConvAxis axis{size > phase ? (size - phase + p.stride - 1) / p.stride : 0, 1, 0, 0, 0, 0, every, out_size, p.stride, phase};
  int first = 0;
  while (first < p.kernel && (at - first * p.dilation) % p.stride != 0) ++first;
  if (first == p.kernel) return axis;
  axis.taps = (p.kernel - first + every - 1) / every;
  axis.first_tap = first;
  axis.base = (at - first * p.dilation) / p.stride;
  axis.reach = -every * p.dilation / p.stride;
  return axis;
}

// All rows of a product. Images have `pixels` rows each; grid.z, or whatever counts phases, is phase_h * phases + phase_w.
struct ConvRows {
  int images, kernel, phases;               // phases: an axis
  int source_h, source_w, source_channels;  // channels: of a pixel in memory
  int out_h, out_w, out_channels;
  ConvAxis h[kMostPhases], w[kMostPhases];
  FastDiv by_w[kMostPhases], by_image[kMostPhases * kMostPhases];
  bool straight;  // each row reads the pixel of its own number, and no other

  int rows(int phase) const { return images * h[phase / phases].rows * w[phase % phases].rows; }
};

inline ConvRows finish(ConvRows r) {
  const auto stays = [](const ConvAxis& a) { return a.taps == 1 && a.step == 1 && a.base == 0 && a.rows == a.source; };
  r.straight = r.phases == 1 && stays(r.h[0]) && stays(r.w[0]);
  for (int a = 0; a < r.phases; ++a) {
    r.by_w[a] = FastDiv(r.w[a].rows > 0 ? r.w[a].rows : 1);
    for (int b = 0; b < r.phases; ++b) {
      const int pixels = r.h[a].rows * r.w[b].rows;
      r.by_image[a * r.phases + b] = FastDiv(pixels > 0 ? pixels : 1);
    }
  }
  return r;
}

inline ConvRows forward_rows(const Conv2dProblem& p, int channels, int out_channels) {
  ConvRows r{p.n, p.kernel, 1, p.h, p.w, channels, p.oh, p.ow, out_channels, {}, {}, {}, {}, false};
  r.h[0] = forward_axis(p, p.h, p.oh);
  r.w[0] = forward_axis(p, p.w, p.ow);
  return finish(r);
}

// Rows are pixels of the input, the source is the output's gradient.
inline ConvRows transposed_rows(const Conv2dProblem& p, int channels, int out_channels) {
  ConvRows r{p.n, p.kernel, p.stride, p.oh, p.ow, out_channels, p.h, p.w, channels, {}, {}, {}, {}, false};
  for (int phase = 0; phase < p.stride; ++phase) {
    r.h[phase] = transposed_axis(p, p.h, p.oh, phase);
    r.w[phase] = transposed_axis(p, p.w, p.ow, phase);
  }
  return finish(r);
}

// Where a row reads.
struct LaneRow {
  int pixel;  // of the source, that tap 0 reads; meant only where the tap lies inside
  int h, w;   // its position; far outside where there is no row
};

__device__ __forceinline__ LaneRow lane_row(const ConvRows& g, int phase, int row, int rows) {
  const ConvAxis& h = g.h[phase / g.phases];
  const ConvAxis& w = g.w[phase % g.phases];
  if (row >= rows) return {0, -(1 << 30), 0};
  if (g.straight) return {row, 0, 0};
  const int image = g.by_image[phase].quotient(row), pixel = row - image * h.rows * w.rows;
  const int a = g.by_w[phase % g.phases].quotient(pixel), b = pixel - a * w.rows;
  const int source_h = a * h.step + h.base, source_w = b * w.step + w.base;
  return {(image * g.source_h + source_h) * g.source_w + source_w, source_h, source_w};
}

}  // namespace sknet::cuda
