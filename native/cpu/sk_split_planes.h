// What sk_split's planes read and write around the convolutions: shapes, inputs, statistics of u, the closing of dx.
#pragma once

#include "cpu/norm.h"
#include "cpu/planes.h"
#include "ops/sk_split.h"

namespace sknet::cpu {
namespace {

// What follows from the problem for both directions.
struct Split {
  const Conv2dProblem& conv;
  int width, blocks, gb, units;            // gb: blocks of a unit
  int padding = 0;                         // the widest
  int64_t packed[kMaxBranches + 1] = {};   // where a branch's weights start, [block] each, and the end
  int64_t weights[kMaxBranches + 1] = {};  // the same within the gradients of one block
  PlaneShape x;

  explicit Split(const SkSplitProblem& p)
      : conv(p.conv[0]), width(planes_width_of(conv)), blocks(blocks_of(conv.c)), gb(group_blocks(width)), units(blocks / gb) {
    for (int m = 0; m < p.branches; ++m) {
      padding = max_of(padding, p.conv[m].padding);
      weights[m + 1] = weights[m] + packed_block_size(width, p.conv[m].kernel);
      packed[m + 1] = weights[m + 1] * blocks;
    }
    x = input_plane(conv, padding);
  }

  int64_t input_pixels() const { return static_cast<int64_t>(conv.h) * conv.w * kLanes; }
  int64_t output_pixels() const { return static_cast<int64_t>(conv.oh) * conv.ow * kLanes; }
  // First tap of branch m's first output in the input plane.
  int64_t first_tap(const Conv2dProblem& branch) const { return (padding - branch.padding) * (x.row() + kLanes); }
  // Packed weights that output block `block` of branch m gives to the unit's input block `part`.
  int64_t weights_at(const Conv2dProblem& branch, int m, int block, int part) const {
    return packed[m] + block * (weights[m + 1] - weights[m]) + part * packed_part_size(width, branch.kernel);
  }

  // Copies a unit's blocks of image n, with their halo.
  void fill_inputs(const void* x_memory, const Normalize& norm, int64_t n, int unit, float* planes) const {
    for (int b = 0; b < gb; ++b) {
      const int block = unit * gb + b;
      const Elem* from = static_cast<const Elem*>(x_memory) + (n * blocks + block) * input_pixels();
      float* to = planes + b * x.floats();
      if (norm.scale == nullptr) {
        fill_plane(to, x, conv.h, conv.w, [=](int64_t at) { return load(from + at); });
      } else {
        fill_plane(to, x, conv.h, conv.w,
                   [=, at_block = normalize_at(norm, block * kLanes)](int64_t at) { return at_block(load(from + at)); });
      }
    }
  }
};

// Sums of u and u^2 in float64. A row's are taken in float32 from a pixel of that row, where they are as exact as its numbers.
struct RowStatistics {
  WideSum sum, squares;
  Vec pivot{}, row_sum{}, row_squares{};

  SKNET_INLINE void add(int col, int count, const float* values) {
    if (col == 0) pivot = load(values + (count - 1) * kLanes);
    for (int t = 0; t < count; ++t) {
      const Vec d = load(values + t * kLanes) - pivot;
      row_sum += d;
      row_squares += d * d;
    }
  }
  void end_row(int pixels) {
    WideSum p, s, q;
    p.add(pivot);
    s.add(row_sum);
    q.add(row_squares);
    const double n = pixels;
    sum.low += s.low + n * p.low;
    sum.high += s.high + n * p.high;
    squares.low += q.low + p.low * (2 * s.low + n * p.low);
    squares.high += q.high + p.high * (2 * s.high + n * p.high);
    row_sum = row_squares = Vec{};
  }
};

// What happens to dx of one image's block.
struct WriteDx {
  Elem* dx;
  const Elem *add, *u, *output;  // or null
  NormCloseVec close{};
  bool past;
  WideSum sum, dot;

  WriteDx(const SkSplitBackwardArgs& a, int64_t at, int block, bool past) : dx(static_cast<Elem*>(a.dx) + at), past(past) {
    const auto of = [&](const void* memory) { return memory == nullptr ? nullptr : static_cast<const Elem*>(memory) + at; };
    u = of(a.close.u);
    add = of(u == nullptr ? a.add : a.close.add);
    output = of(a.close.output);
    if (u != nullptr) close = norm_close_at(a.close, block * kLanes);
  }
  // Pixels `step` apart from `at`.
  void tile(int64_t at, int64_t step, int pixels, const float* values) {
    Vec tile_sum{}, tile_dot{};
    for (int t = 0; t < pixels; ++t, at += step) {
      Vec v = load(values + t * kLanes);
      if (add != nullptr) v += load(add + at);
      if (u != nullptr) {
        const Vec uv = load(u + at);
        v = close.gate(v, uv, output == nullptr ? Vec{} : load(output + at));
        tile_sum += v;
        tile_dot += v * (uv - close.mean);
      }
      if (past) {
        store_past_cache(dx + at, v);
      } else {
        store(dx + at, v);
      }
    }
    if (u == nullptr) return;
    sum.add(tile_sum);
    dot.add(tile_dot);
  }
};

}  // namespace
}  // namespace sknet::cpu
