// Grouped (and depthwise) convolution on planes: one image's block of kLanes channels is copied with its halo into a thread-local
// plane of operands [rows][columns][kLanes] that stays in L2, and all taps run over it with the output pixels' accumulators in registers.
// A block holds kLanes / width whole groups (width <= kLanes) or is a part of one (width > kLanes; the blocks of one group are a unit and
// are worked on together). Inside a block, input channel j of a lane's group is a permutation of the block's vector, so the vector units
// stay full at 1, 2, 4, 8 channels a group.
#pragma once

#include "cpu/amx.h"
#include "cpu/past_cache.h"
#include "cpu/simd.h"
#include "cpu/square.h"
#include "ops/conv2d.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

// Channels a group that planes can handle: a power of two that divides the vector, or a multiple of the vector.
constexpr bool planes_width(int width) { return width <= kLanes ? width > 0 && kLanes % width == 0 : width % kLanes == 0; }
constexpr int kWidest = 64;

inline const char* planes_refuse(const Conv2dProblem& p) {
  if (p.c != p.out) return "input and output channels differ";
  if (p.groups == 1) return "not grouped";
  if (!planes_width(p.c / p.groups)) return "channels a group neither divide nor are a multiple of the vector";
  if (p.c / p.groups > kWidest) return "groups wide enough for the matrix product";
  if (p.padding > p.dilation * (p.kernel - 1)) return "padding wider than the kernel's reach";
  return nullptr;
}

constexpr int planes_width_of(const Conv2dProblem& p) { return p.c / p.groups; }
constexpr int blocks_of(int channels) { return blocks_in(channels, kLanes); }
// Blocks of a unit, all of which each of them reads.
constexpr int group_blocks(int width) { return width > kLanes ? width / kLanes : 1; }
// Whether blocks are multiplied as whole tiles of AMX, with zeros where channels of different groups meet. Narrower groups would multiply
// little else.
constexpr bool tiled(int width) { return kAmx && width >= 4; }
// Blocks of input whose pixels lie side by side in a plane and are multiplied at once.
constexpr int side_by_side(int width) { return tiled(width) && width % (2 * kLanes) == 0 ? 2 : 1; }
// A unit's planes: parts of the input.
constexpr int group_parts(int width) { return group_blocks(width) / side_by_side(width); }
// Channels of a part that a lane's sum runs over: `width` when it fits the vector and nothing is tiled, else the whole part.
constexpr int block_width(int width) { return tiled(width) ? side_by_side(width) * kLanes : min_of(width, kLanes); }

// Planes and packed weights are placed as if they were of floats; operands half as large fill the first half of each one's place.
inline Operand* operands(float* place) { return reinterpret_cast<Operand*>(place); }
inline const Operand* operands(const float* place) { return reinterpret_cast<const Operand*>(place); }

// ---- weights, packed for one direction: [block][part of the unit][tap][j][kLanes], or [tap][j / 2][kLanes][2] where operands are
// multiplied in pairs; at one channel a group the pair's second is zero.

// Floats of one part of a block.
constexpr int64_t packed_part_size(int width, int kernel) { return static_cast<int64_t>(kernel) * kernel * block_width(width) * kLanes; }
constexpr int64_t packed_block_size(int width, int kernel) { return group_parts(width) * packed_part_size(width, kernel); }
constexpr int64_t packed_planes_size(const Conv2dProblem& p) { return blocks_of(p.c) * packed_block_size(planes_width_of(p), p.kernel); }

// Calls f(OIHW offset of each lane's filter or -1, first tap, taps, packed index of the first tap, from tap to tap) for squares of up to
// kLanes taps by the block's lanes. forward: lane = output channel, j = input channel of its group. backward: lane = input channel,
// j = output channel, taps flipped. Of tiled blocks the index is that of the first group's lanes.
template <class F>
inline void for_block_weights(const Conv2dProblem& p, bool backward, int block, const F& f) {
  const int width = planes_width_of(p), taps = p.kernel * p.kernel, jw = block_width(width), tap = jw * kLanes;
  for (int other = 0; other < width; ++other) {
    int64_t filters[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      const int channel = block * kLanes + lane, within = channel % width;
      filters[lane] =
          backward ? static_cast<int64_t>(channel - within + other) * width + within : static_cast<int64_t>(channel) * width + other;
      filters[lane] = channel < p.c ? filters[lane] * taps : -1;
    }
    const int64_t packed = static_cast<int64_t>(other / jw) * taps * tap + static_cast<int64_t>(other % jw) * kLanes;
    for (int first = 0; first < taps; first += kLanes) {
      const int64_t at = packed + static_cast<int64_t>(backward ? taps - 1 - first : first) * tap;
      f(filters, first, min_of(kLanes, taps - first), at, backward ? -tap : tap);
    }
  }
}

// Calls f(lanes, row) with a mask of each group's lanes and its j's distance from the first group's, in vectors. One group where j counts
// the channels of each lane's own.
template <class F>
inline void for_group_lanes(int width, const F& f) {
  IntVec lane{};
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const int step = tiled(width) ? min_of(width, kLanes) : kLanes;
  for (int first = 0; first < kLanes; first += step) f(lane >= first && lane < first + step, first);
}

// Operands of one tap.
constexpr int64_t packed_tap(int width) { return max_of(kDot, block_width(width)) * kLanes; }

inline void pack_planes(const Conv2dProblem& p, const float* weight, bool backward, int block, float* dst) {
  const int width = planes_width_of(p), jw = block_width(width);
  const int64_t size = static_cast<int64_t>(p.c) * width * p.kernel * p.kernel, part_size = packed_part_size(width, p.kernel);
  for_block_weights(p, backward, block, [&](const int64_t* filters, int first, int taps, int64_t at, int64_t step) {
    Vec square[kLanes];
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t from = filters[lane] + first;  // reads into the next filter, where there is one
      square[lane] = filters[lane] < 0 ? Vec{} : load_part(weight + from, static_cast<int>(min_of<int64_t>(kLanes, size - from)));
    }
    transpose(square);
#pragma GCC unroll 16
    for (int tap = 0; tap < kLanes; ++tap) {
      if (tap >= taps) break;
      for_group_lanes(width, [&](IntVec lanes, int row) {
        store(dst + at + tap * step + row * kLanes, reinterpret_cast<Vec>(reinterpret_cast<IntVec>(square[tap]) & lanes));
      });
    }
  });
  if constexpr (kDot == 1) return;
  // Pairs into half the place, from its beginning on.
  for (float* part = dst; part < dst + group_parts(width) * part_size; part += part_size) {
    const int step = min_of(kDot, jw);
    for (int64_t row = 0; row < part_size / kLanes; row += step) {
      const Vec rows[2] = {load(part + row * kLanes), step == 1 ? Vec{} : load(part + (row + step - 1) * kLanes)};
      store_dots(operands(part) + row / step * kLanes * kDot, rows);
    }
  }
}

// A block's gradient, packed as forward, into OIHW.
inline void unpack_planes(const Conv2dProblem& p, const float* packed, int block, float* dweight) {
  for_block_weights(p, false, block, [&](const int64_t* filters, int first, int taps, int64_t at, int64_t step) {
    Vec square[kLanes];
#pragma GCC unroll 16
    for (int tap = 0; tap < kLanes; ++tap) {
      IntVec bits{};
      if (tap < taps) {
        for_group_lanes(planes_width_of(p), [&](IntVec lanes, int row) {
          bits |= reinterpret_cast<IntVec>(load(packed + at + tap * step + row * kLanes)) & lanes;
        });
      }
      square[tap] = reinterpret_cast<Vec>(bits);
    }
    transpose(square);
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes; ++lane) {
      if (filters[lane] >= 0) store_part(dweight + filters[lane] + first, square[lane], taps);
    }
  });
}

// ---- planes

// A plane with an image's blocks, `side` of them beside each other, at (top, left) and zeros around it.
struct PlaneShape {
  int rows, cols, top, left, side;
  constexpr int64_t pixel() const { return kAmx ? side * kLanes : kLanes; }
  constexpr int64_t row() const { return cols * pixel(); }
  constexpr int64_t floats() const { return rows * row(); }
  constexpr int64_t origin() const { return top * row() + left * pixel(); }
  // Where the unit's block b is in planes from `place` on.
  Operand* block(float* place, int b) const { return operands(place + b / side * floats()) + b % side * kLanes; }
};

constexpr PlaneShape input_plane(const Conv2dProblem& p, int padding) {
  return {p.h + 2 * padding, p.w + 2 * padding, padding, padding, side_by_side(planes_width_of(p))};
}

// The output's gradient with room for all taps that reach an input pixel.
constexpr PlaneShape gradient_plane(const Conv2dProblem& p) {
  const int lead = ((p.kernel - 1) * p.dilation - p.padding) / p.stride;
  return {(p.h - 1 + p.padding) / p.stride + 1 + lead, (p.w - 1 + p.padding) / p.stride + 1 + lead, lead, lead,
          side_by_side(planes_width_of(p))};
}

inline void zero_pixels(Operand* dst, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) store(dst + i, Vec{});
}

// A block of a plane; value(offset of a pixel within the block's h x w pixels) is a Vec.
template <class Value>
inline void fill_plane(Operand* plane, const PlaneShape& s, int h, int w, const Value& value) {
  const int64_t pixel = s.pixel();
  const auto zero = [&](Operand* dst, int64_t pixels) {
    for (int64_t i = 0; i < pixels; ++i) store(dst + i * pixel, Vec{});
  };
  zero(plane, static_cast<int64_t>(s.top) * s.cols);
  for (int row = 0; row < h; ++row) {
    Operand* to = plane + (s.top + row) * s.row();
    zero(to, s.left);
    to += s.left * pixel;
    const int64_t from = static_cast<int64_t>(row) * w * kLanes;
    for (int col = 0; col < w; ++col) store(to + col * pixel, value(from + static_cast<int64_t>(col) * kLanes));
    zero(to + w * pixel, s.cols - s.left - w);
  }
  zero(plane + (s.top + h) * s.row(), static_cast<int64_t>(s.rows - s.top - h) * s.cols);
}

// ---- taps

// A regular grid of taps over one plane, with their weights.
struct TapGrid {
  const Operand* x;        // the first tap of the first output pixel
  int rows, cols;          // taps
  int64_t x_row, x_col;    // operands between them
  int spacing;             // x_col in steps from output to output where neighbouring outputs share loads (1, 2), else 0
  const Operand* weights;  // of the first tap
  int64_t w_row, w_col;    // operands between taps' weights
  int64_t next;            // operands from an output row's first tap to the next row's
  int at, apart, step;     // where the first tap's row lies in the image, rows to the next tap's, and to the next output row's
  int height;              // rows of the image, beyond which are zeros
  bool same;               // outputs are as wide as the image and neighbours' taps reach `spacing` pixels beyond it on either side

  void next_row() {
    x += next;
    at += step;
  }
  // Whether all taps' rows lie in the image, for `outputs` output rows from the present one.
  bool inside(int outputs) const { return at >= 0 && at + (outputs - 1) * step + (rows - 1) * apart < height; }
  // Without the taps whose rows are zeros for `outputs` output rows from the present one.
  TapGrid within(int outputs) const {
    TapGrid g = *this;
    for (; g.rows > 0 && g.at + (outputs - 1) * step < 0; --g.rows, g.at += apart, g.x += x_row) g.weights += w_row;
    while (g.rows > 0 && g.at + (g.rows - 1) * apart >= height) --g.rows;
    return g;
  }
};

constexpr int kMostGrids = 2;  // of one plane

// Forward taps over an input plane. At stride 2 and odd dilation even and odd taps are two grids. Returns how many.
inline int forward_grids(const Conv2dProblem& p, const Operand* first, const PlaneShape& plane, const Operand* weights, TapGrid* grids) {
  const int64_t tap = packed_tap(planes_width_of(p));
  const int classes = p.stride == 2 && p.dilation % 2 == 1 && p.kernel > 1 ? 2 : 1;
  const int apart = classes * p.dilation;  // pixels between a grid's taps
  const int spacing = p.stride <= 2 && apart / p.stride <= 2 ? apart / p.stride : 0;
  for (int i = 0; i < classes; ++i) {
    grids[i] = {first + i * p.dilation * plane.pixel(),
                p.kernel,
                ceil_div(p.kernel - i, classes),
                p.dilation * plane.row(),
                apart * plane.pixel(),
                spacing,
                weights + i * tap,
                p.kernel * tap,
                classes * tap,
                p.stride * plane.row(),
                -p.padding,
                p.dilation,
                p.stride,
                p.h,
                p.stride == 1 && p.kernel == 3 && p.padding == p.dilation};
  }
  return classes;
}

// Taps of one dimension that reach the input pixels of one phase (pixel % stride), and where the first of them lies.
struct PhaseTaps {
  int first, step, count, at;
};
inline PhaseTaps phase_taps(const Conv2dProblem& p, int phase, int plane_lead) {
  const int lead = (p.kernel - 1) * p.dilation - p.padding;
  int step = 1;
  while (step * p.dilation % p.stride != 0) ++step;
  for (int tap = 0; tap < min_of(step, p.kernel); ++tap) {
    const int at = phase - lead + tap * p.dilation;
    if (at % p.stride == 0) return {tap, step, ceil_div(p.kernel - tap, step), at / p.stride + plane_lead};
  }
  return {0, step, 0, 0};
}

// Backward taps over a gradient plane, for the input pixels (phase_row + i stride, phase_col + j stride): a stride is no spread out
// plane but a convolution a phase, each with the taps that hit.
inline TapGrid backward_grid(const Conv2dProblem& p, const Operand* plane, const Operand* weights, int phase_row, int phase_col) {
  const PlaneShape shape = gradient_plane(p);
  const int64_t tap = packed_tap(planes_width_of(p));
  const PhaseTaps rows = phase_taps(p, phase_row, shape.top), cols = phase_taps(p, phase_col, shape.left);
  const int apart = cols.step * p.dilation / p.stride;
  return {plane + rows.at * shape.row() + cols.at * shape.pixel(),
          cols.count == 0 ? 0 : rows.count,
          cols.count,
          rows.step * p.dilation / p.stride * shape.row(),
          apart * shape.pixel(),
          apart <= 2 ? apart : 0,
          weights + (rows.first * p.kernel + cols.first) * tap,
          rows.step * p.kernel * tap,
          cols.step * tap,
          shape.row(),
          rows.at - shape.top,
          rows.step * p.dilation / p.stride,
          1,
          p.oh,
          p.stride == 1 && p.kernel == 3 && p.padding == p.dilation};
}

// Calls f(phase_row, phase_col) for the phases that the input has pixels of.
template <class F>
inline void for_phases(const Conv2dProblem& p, const F& f) {
  for (int row = 0; row < min_of(p.stride, p.h); ++row) {
    for (int col = 0; col < min_of(p.stride, p.w); ++col) f(row, col);
  }
}

// ---- weight gradients

struct GradientPlanes {
  const Operand* x;  // a plane at the first tap of output (0, 0)
  int64_t x_row;
  int stride, kernel, dilation;
  const Operand* dy;  // a gradient plane at output (0, 0)
  int64_t dy_row;
  int rows, cols;              // output
  int zeros;                   // pixels of zeros before, between and after dy's rows
  int padding, height, width;  // of the input
};

}  // namespace
}  // namespace sknet::cpu
