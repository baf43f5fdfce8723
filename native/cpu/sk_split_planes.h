// What sk_split's planes read and write around the convolutions: shapes, inputs, statistics of u, the closing of dx.
#pragma once

#include "cpu/norm.h"
#include "cpu/planes.h"
#include "cpu/row_chunks.h"
#include "ops/sk_split.h"

namespace sknet::cpu {
namespace {

// What follows from the problem for both directions.
struct Split {
  const Conv2dProblem& conv;
  int width, blocks, gb, parts, units;     // gb: blocks of a unit, and planes that they are read from
  int padding = 0;                         // the widest
  int64_t packed[kMaxBranches + 1] = {};   // where a branch's weights start, [block] each, and the end
  int64_t weights[kMaxBranches + 1] = {};  // the same within the gradients of one block
  PlaneShape x;

  explicit Split(const SkSplitProblem& p)
      : conv(p.conv[0]),
        width(planes_width_of(conv)),
        blocks(blocks_of(conv.c)),
        gb(group_blocks(width)),
        parts(group_parts(width)),
        units(blocks / gb) {
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
  int64_t first_tap(const Conv2dProblem& branch) const { return (padding - branch.padding) * (x.row() + x.pixel()); }
  // Packed weights that output block `block` of branch m gives to part `part` of the unit's input.
  int64_t weights_at(const Conv2dProblem& branch, int m, int block, int part) const {
    return packed[m] + block * (weights[m + 1] - weights[m]) + part * packed_part_size(width, branch.kernel);
  }

  // Copies a unit's blocks of image n, with their halo.
  void fill_inputs(const void* x_memory, const Normalize& norm, int64_t n, int unit, float* planes) const {
    for (int b = 0; b < gb; ++b) {
      const int block = unit * gb + b;
      const Elem* from = static_cast<const Elem*>(x_memory) + (n * blocks + block) * input_pixels();
      Operand* to = x.block(planes, b);
      if (norm.scale == nullptr) {
        fill_plane(to, x, conv.h, conv.w, [=](int64_t at) { return load(from + at); });
      } else {
        fill_plane(to, x, conv.h, conv.w,
                   [=, at_block = normalize_at(norm, block * kLanes)](int64_t at) { return at_block(load(from + at)); });
      }
    }
  }
};

// Sums of u and u^2 in float64. Those of a run of rows are taken in float32 from a pixel of that run, where they are as exact as its
// numbers.
struct RunStatistics {
  static constexpr int kEnough = kRun / 2;  // pixels

  WideSum sum, squares;
  Vec pivot{}, run_sum{}, run_squares{};
  int run = 0;  // pixels

  SKNET_INLINE void add(int count, const float* values) {
    if (run == 0) pivot = load(values + (count - 1) * kLanes);
    run += count;
    const Vec from = pivot;
    Vec sum0{}, sum1{}, squares0{}, squares1{};  // two, to hide the latency of an addition
    int t = 0;
    for (; t + 2 <= count; t += 2) {
      const Vec a = load(values + t * kLanes) - from, b = load(values + (t + 1) * kLanes) - from;
      sum0 += a;
      squares0 += a * a;
      sum1 += b;
      squares1 += b * b;
    }
    if (t < count) {
      const Vec a = load(values + t * kLanes) - from;
      sum0 += a;
      squares0 += a * a;
    }
    run_sum += sum0 + sum1;
    run_squares += squares0 + squares1;
  }
  void end_run() {
    WideSum p, s, q;
    p.add(pivot);
    s.add(run_sum);
    q.add(run_squares);
    const double n = run;
    sum.low += s.low + n * p.low;
    sum.high += s.high + n * p.high;
    squares.low += q.low + p.low * (2 * s.low + n * p.low);
    squares.high += q.high + p.high * (2 * s.high + n * p.high);
    run_sum = run_squares = Vec{};
    run = 0;
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
    Vec sum0{}, sum1{}, dot0{}, dot1{};  // two, to hide the latency of an addition
    const auto pixel = [&](int t, Vec& tile_sum, Vec& tile_dot) {
      const int64_t to = at + t * step;
      Vec v = load(values + t * kLanes);
      if (add != nullptr) v += load(add + to);
      if (u != nullptr) {
        const Vec uv = load(u + to);
        v = close.gate(v, uv, output == nullptr ? Vec{} : load(output + to));
        tile_sum += v;
        tile_dot += v * (uv - close.mean);
      }
      if (past) {
        store_past_cache(dx + to, v);
      } else {
        store(dx + to, v);
      }
    };
    int t = 0;
    for (; t + 2 <= pixels; t += 2) {
      pixel(t, sum0, dot0);
      pixel(t + 1, sum1, dot1);
    }
    if (t < pixels) pixel(t, sum0, dot0);
    if (u == nullptr) return;
    sum.add(sum0 + sum1);
    dot.add(dot0 + dot1);
  }
};

}  // namespace
}  // namespace sknet::cpu
