// Weight gradients of planes.h on AMX. x's and dy's pixels are each put in one row with the same distance from image row to image row, so
// that a tap is a shift: gradient[tap][j][lane] += sum over q of x[j][q + shift(tap)] dy[q][lane]. Between the rows dy is zero. A stride
// takes x apart by phase (row and column modulo the stride), whose planes have the output's spacing. Two small images may follow each
// other.
#pragma once

#include "cpu/planes.h"
#include "cpu/tile_operands.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

struct GradientRows {
  PlaneShape x;
  int stride, phase_rows, pitch;  // of a phase's plane
  int outputs, out_cols;          // rows and columns of dy
  int images, image;              // and pixels from image to image
  int groups;                     // of dy's pixels
  int64_t length;                 // pixels of a channel's row, zeros beyond the plane

  GradientRows(const PlaneShape& x, const Conv2dProblem& p, int images)
      : x(x),
        stride(p.stride),
        phase_rows(ceil_div(x.rows, p.stride)),
        pitch(ceil_div(x.cols, p.stride)),
        outputs(p.oh),
        out_cols(p.ow),
        images(images),
        image(phase_rows * pitch),
        groups(ceil_div((images - 1) * image + (p.oh - 1) * pitch + p.ow, kReduceGroup)),
        length((static_cast<int64_t>(ceil_div(images * image, kReduceGroup)) + 1) * kReduceGroup) {}

  // Floats that x's rows and dy's take, and what x's are made from.
  int64_t x_floats() const { return static_cast<int64_t>(stride) * stride * length * kLanes / 2; }
  int64_t dy_floats() const { return static_cast<int64_t>(groups) * kReduceGroup * kLanes / 2; }
  int64_t flat_floats() const { return length * kLanes / 2; }
};

// Images whose planes are put in one row: two where one alone takes only a few products.
inline int images_in_rows(const PlaneShape& x, const Conv2dProblem& p) { return GradientRows(x, p, 1).groups <= 4 ? 2 : 1; }

// x's rows [phase][kLanes][length] from a block's plane an image.
inline void rows_of_planes(const GradientRows& r, const Operand* const* planes, Operand* flat, Operand* to) {
  for (int phase = 0; phase < r.stride * r.stride; ++phase, to += kLanes * r.length) {
    int64_t at = 0;
    for (int i = 0; i < r.images; ++i) {
      const Operand* plane = planes[i];
      for (int row = phase / r.stride; row < r.phase_rows * r.stride; row += r.stride) {
        for (int col = phase % r.stride; col < r.pitch * r.stride; col += r.stride, at += kLanes) {
          const bool inside = row < r.x.rows && col < r.x.cols;
          if (inside) {
            copy_block(flat + at, plane + row * r.x.row() + col * r.x.pixel());
          } else {
            store(flat + at, Vec{});
          }
        }
      }
    }
    zero_pixels(flat + at, r.length * kLanes - at);
    lace_pixels(flat, static_cast<int>(r.length), flat);
    for (int64_t q = 0; q < r.length; q += kReduceGroup) transpose_laced(flat + q * kLanes, to + q, r.length);
  }
}

// dy laced, from its first pixel in a block's plane an image.
inline void lace_gradient(const GradientRows& r, const Operand* const* images, const PlaneShape& plane, Operand* to) {
  const int64_t all = static_cast<int64_t>(r.groups) * kReduceGroup * kLanes, row_operands = static_cast<int64_t>(r.out_cols) * kLanes;
  int64_t at = 0;
  for (int i = 0; i < r.images; ++i) {
    const Operand* dy = images[i];
    for (int row = 0; row < r.outputs; ++row, dy += plane.row()) {
      for (int col = 0; col < r.out_cols; ++col) copy_block(to + at + static_cast<int64_t>(col) * kLanes, dy + col * plane.pixel());
      const bool last = row + 1 == r.outputs, very_last = last && i + 1 == r.images;
      const int64_t next = last ? static_cast<int64_t>(i + 1) * r.image * kLanes : at + static_cast<int64_t>(r.pitch) * kLanes;
      zero_pixels(to + at + row_operands, (very_last ? all : next) - at - row_operands);
      at = next;
    }
  }
  lace_pixels(to, r.groups * kReduceGroup, to);
}

// N taps' gradients [kLanes][kLanes], `tap` floats apart, added to; x: each one's first pixel.
template <int N>
[[gnu::noinline]] void gradient_tiles(const Operand* const* x, int64_t length, const Operand* dy, int groups, float* gradient,
                                      int64_t tap) {
  constexpr int64_t kRow = kLanes * sizeof(float);
  const int64_t row = length * static_cast<int64_t>(sizeof(Operand));
  load_tile<0>(gradient, kRow);
  if constexpr (N > 1) load_tile<1>(gradient + tap, kRow);
  if constexpr (N > 2) load_tile<2>(gradient + 2 * tap, kRow);
  for (int64_t q = 0; q < static_cast<int64_t>(groups) * kReduceGroup; q += kReduceGroup) {
    load_tile<7>(dy + q * kLanes, kTileBytes);
    load_tile<4>(x[0] + q, row);
    multiply_tiles<0, 4, 7>();
    if constexpr (N > 1) {
      load_tile<5>(x[1] + q, row);
      multiply_tiles<1, 5, 7>();
    }
    if constexpr (N > 2) {
      load_tile<6>(x[2] + q, row);
      multiply_tiles<2, 6, 7>();
    }
  }
  store_tile<0>(gradient, kRow);
  if constexpr (N > 1) store_tile<1>(gradient + tap, kRow);
  if constexpr (N > 2) store_tile<2>(gradient + 2 * tap, kRow);
}

// gradient[tap][side][kLanes][kLanes] of one block of x by one of dy, added to. first: row and column of the first tap in x's plane.
inline void gradient_rows(const GradientRows& r, const Conv2dProblem& p, int first, const Operand* x, const Operand* dy, float* gradient) {
  const TileShapes shapes(kReduceGroup / 2, 3);
  for (int kh = 0; kh < p.kernel; ++kh) {
    for (int kw = 0; kw < p.kernel; kw += 3) {
      const int some = min_of(3, p.kernel - kw);
      const Operand* from[3];
      for (int i = 0; i < some; ++i) {
        const int row = first + kh * p.dilation, col = first + (kw + i) * p.dilation;
        from[i] = x + (row % r.stride * r.stride + col % r.stride) * kLanes * r.length + row / r.stride * r.pitch + col / r.stride;
      }
      const int64_t tap = static_cast<int64_t>(r.x.side) * kLanes * kLanes;
      float* to = gradient + (kh * p.kernel + kw) * tap;
      if (some == 3) {
        gradient_tiles<3>(from, r.length, dy, r.groups, to, tap);
      } else if (some == 2) {
        gradient_tiles<2>(from, r.length, dy, r.groups, to, tap);
      } else {
        gradient_tiles<1>(from, r.length, dy, r.groups, to, tap);
      }
    }
  }
}

}  // namespace
}  // namespace sknet::cpu

#endif
