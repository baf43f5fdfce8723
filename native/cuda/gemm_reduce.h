// The gradient of a dense convolution's weights as a matrix product: rows are output channels, columns (tap, input channel), summed over
// pixels. Pixels are cut into chunks, each block makes a tile of one chunk; the chunks' sums are added in order, in float64, by a second
// kernel that writes OIHW.
#pragma once

#include "cuda/conv_axis.h"
#include "cuda/launch.h"
#include "cuda/multiply.h"
#include "cuda/row_source.h"

namespace sknet::cuda {

// How the pixels are cut; the same on every device, so that the sums are.
struct ReducePlan {
  int pixels, rows, cols;                   // rows: channels of dy in memory; cols: kernel * kernel * channels of x in memory
  int row_tiles, col_tiles, chunks, chunk;  // chunk: pixels of one, whole steps
};

inline ReducePlan reduce_plan(int64_t pixels, int rows, int cols, int tile_cols, int step) {
  constexpr int kBlocks = 264, kFewestSteps = 8;  // two blocks on each of an H100's processors
  ReducePlan r{static_cast<int>(pixels), rows, cols, ceil_div(rows, kTileRows), ceil_div(cols, tile_cols), 1, 0};
  const int steps = ceil_div(r.pixels, step), wanted = kBlocks / (r.row_tiles * r.col_tiles);
  const int most = steps / kFewestSteps, chunks = wanted < most ? wanted : most;
  const int steps_each = ceil_div(steps, chunks > 1 ? chunks : 1);
  r.chunk = steps_each * step;
  r.chunks = ceil_div(r.pixels, r.chunk);
  return r;
}

template <class X, class Gradient, class Product, int kCols>
inline constexpr int kReduceStage = Product::across_bytes(kTileRows) * Gradient::kTiles + Product::across_bytes(kCols) * X::kTiles;

template <class X, class Gradient, class Product, int kCols>
constexpr int gemm_reduce_shared() {
  constexpr int kStage = kReduceStage<X, Gradient, Product, kCols>;
  static_assert(2 * kStage <= kBlockShared);
  return stages_of(kStage) * kStage;
}

// partial: [chunk][rows][cols].
template <class X, class Gradient, class Product, int kCols>
__global__ void __launch_bounds__(kLanes, 2) gemm_reduce(ConvRows g, ReducePlan r, X x, Gradient gradient, float* partial) {
  using Elem = typename X::Type;
  constexpr int kStep = Product::kStep, kRowTile = Product::across_bytes(kTileRows), kColTile = Product::across_bytes(kCols);
  constexpr int kRowsTile = kRowTile * Gradient::kTiles, kStage = kReduceStage<X, Gradient, Product, kCols>, kStages = stages_of(kStage);
  // Lanes across the channels of a pixel, and pixels between those of one lane.
  constexpr int kRowAcross = kTileRows / kChunk<Elem>, kColAcross = kCols / kChunk<Elem>;
  constexpr int kRowApart = kLanes / kRowAcross, kColApart = kLanes / kColAcross;
  constexpr int kRowEach = kStep / kRowApart, kColEach = kStep / kColApart;
  constexpr int kFarRow = Product::across_at(kRowApart, 0, kTileRows), kFarCol = Product::across_at(kColApart, 0, kCols);
  SIMT_DYN_SHARED(char, shared);
  const int t = static_cast<int>(threadIdx.x), tile = static_cast<int>(blockIdx.x), chunk = static_cast<int>(blockIdx.y);
  const int row0 = tile / r.col_tiles * kTileRows, col0 = tile % r.col_tiles * kCols;
  const int first = chunk * r.chunk, last = first + r.chunk < r.pixels ? first + r.chunk : r.pixels;

  const int row_pixel = t / kRowAcross, row = row0 + t % kRowAcross * kChunk<Elem>;
  const int col_pixel = t / kColAcross, col = col0 + t % kColAcross * kChunk<Elem>;
  const int tap = X::kGathers ? 0 : col / g.source_channels, c = col - tap * g.source_channels;
  const int dh = tap / g.kernel * g.h[0].reach, dw = tap % g.kernel * g.w[0].reach;
  char* const row_to = shared + Product::across_at(row_pixel, t % kRowAcross, kTileRows);
  char* const col_to = shared + kRowsTile + Product::across_at(col_pixel, t % kColAcross, kCols);

  unsigned inside = 0;  // kColEach bits a step, the latest lowest
  int next = first;
  const auto issue = [&](int stage) {
    inside <<= kColEach;
    if (next < last) {
#pragma unroll
      for (int i = 0; i < kRowEach; ++i) {
        const int pixel = next + row_pixel + i * kRowApart;
        gradient.issue(row_to + stage * kStage + i * kFarRow, kRowTile, static_cast<int64_t>(pixel) * r.rows + row,
                       pixel < last && row < r.rows);
      }
      LaneRow from[kColEach];
#pragma unroll
      for (int i = 0; i < kColEach; ++i) from[i] = lane_row(g, 0, next + col_pixel + i * kColApart, last);
      char* to = col_to + stage * kStage;
      if constexpr (X::kGathers) {
        x.gather(g.source_h, g.source_w, from, col, to, kFarCol);
      } else {
#pragma unroll
        for (int i = 0; i < kColEach; ++i) {
          const bool in = static_cast<unsigned>(from[i].h + dh) < static_cast<unsigned>(g.source_h) &&
                          static_cast<unsigned>(from[i].w + dw) < static_cast<unsigned>(g.source_w) && col < r.cols;
          x.issue(to + i * kFarCol, kColTile, static_cast<int64_t>(from[i].pixel + dh * g.source_w + dw) * g.source_channels + c, in);
          inside |= static_cast<unsigned>(in) << i;
        }
      }
      next += kStep;
    }
    cp_async_commit();
  };

  Product product;
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) issue(s);
  int stage = 0;
  for (int at = first; at < last; at += kStep) {
    cp_async_wait<kStages - 2>();
    if constexpr (Gradient::kReads) {
#pragma unroll
      for (int i = 0; i < kRowEach; ++i) {
        const int pixel = at + row_pixel + i * kRowApart;
        if (pixel < last && row < r.rows) gradient.arrive(row_to + stage * kStage + i * kFarRow, kRowTile, row, pixel);
      }
    }
    if constexpr (X::kReads) {
#pragma unroll
      for (int i = 0; i < kColEach; ++i) {
        if (inside >> ((kStages - 2) * kColEach + i) & 1) {
          x.arrive(col_to + stage * kStage + i * kFarCol, kColTile, c, at + col_pixel + i * kColApart);
        }
      }
    }
    Product::show();
    __syncthreads();
    if (!Product::kAsync) issue(stage == 0 ? kStages - 1 : stage - 1);
    product.across(shared + stage * kStage, shared + stage * kStage + kRowsTile);
    if (Product::kAsync) issue(stage == 0 ? kStages - 1 : stage - 1);
    product.settle();
    stage = stage == kStages - 1 ? 0 : stage + 1;
  }
  float* to = partial + static_cast<int64_t>(chunk) * r.rows * r.cols;
#pragma unroll
  for (int s = 0; s < Product::kSlices; ++s) {
    product.slice(s, [&](int slice_row, int at, float a, float b) {
      const int out = row0 + product.slice_row(s, slice_row), k = col0 + at;
      if (out < r.rows && k < r.cols) *reinterpret_cast<float2*>(to + static_cast<int64_t>(out) * r.cols + k) = float2{a, b};
    });
  }
}

// dweight, OIHW, one lane an element. channels: those that a tap takes in a row of the partial sums.
static __global__ void __launch_bounds__(256)
    add_chunks(const float* partial, ReducePlan r, int out, int c, int taps, int channels, float* dweight) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= static_cast<int64_t>(out) * taps * channels) return;
  const int k = static_cast<int>(i % (taps * channels)), o = static_cast<int>(i / (taps * channels)), tap = k / channels,
            channel = k % channels;
  if (channel >= c) return;
  const float* from = partial + static_cast<int64_t>(o) * r.cols + k;
  double sum = 0;
  for (int chunk = 0; chunk < r.chunks; ++chunk) sum += from[static_cast<int64_t>(chunk) * r.rows * r.cols];
  dweight[(static_cast<int64_t>(o) * c + channel) * taps + tap] = static_cast<float>(sum);
}

}  // namespace sknet::cuda
