// A convolution, or its transpose, as a matrix product: rows are pixels, columns the channels that are written, summed over the taps and
// channels that are read. A block makes 128 rows by kCols columns, two or three steps (stages) in shared memory at a time. What goes with
// it, batch norms read through, statistics, gates, additions, happens while the numbers pass by (row_source.h, row_epilogue.h).
#pragma once

#include "cuda/conv_axis.h"
#include "cuda/launch.h"
#include "cuda/multiply.h"
#include "cuda/row_epilogue.h"
#include "cuda/row_source.h"

namespace sknet::cuda {

template <class Source, class Product>
inline constexpr int kRowTileBytes = Product::along_bytes(kTileRows) * Source::kTiles;

template <class Source, class Product, int kCols>
inline constexpr int kRowsStage = kRowTileBytes<Source, Product> + Product::along_bytes(kCols);

template <class Source, class Product, int kCols>
constexpr int gemm_rows_shared() {
  constexpr int kStage = kRowsStage<Source, Product, kCols>;
  static_assert(2 * kStage <= kBlockShared);
  const int stages = stages_of(kStage) * kStage;
  const int slice = Product::kSliceRows * slice_pitch(kCols) * static_cast<int>(sizeof(float));
  return stages > slice ? stages : slice;
}

// Element of the output where a row's channels begin.
__device__ __forceinline__ int64_t row_target(const ConvRows& g, int phase, int row) {
  if (g.phases == 1) return static_cast<int64_t>(row) * g.out_channels;
  const ConvAxis& h = g.h[phase / g.phases];
  const ConvAxis& w = g.w[phase % g.phases];
  const int image = g.by_image[phase].quotient(row), pixel = row - image * h.rows * w.rows;
  const int a = g.by_w[phase % g.phases].quotient(pixel), b = pixel - a * w.rows;
  const int64_t line = static_cast<int64_t>(image) * g.out_h + a * h.out_step + h.out_base;
  return (line * g.out_w + b * w.out_step + w.out_base) * g.out_channels;
}

// depth: steps that one tap takes in the summed dimension; weights are [column][tap][depth][kStep], zeros where there are no channels.
template <class Source, class Epilogue, class Product, int kCols>
__global__ void __launch_bounds__(kLanes, 2)
    gemm_rows(ConvRows g, Source source, const typename Source::Type* weight, int depth, int tiles, Epilogue epilogue) {
  using Elem = typename Source::Type;
  constexpr int kStep = Product::kStep, kAcross = Product::kStepBytes / 16, kApart = kLanes / kAcross;  // chunks of a row; rows of a lane
  constexpr int kRowEach = kTileRows / kApart, kColEach = kCols / kApart;
  constexpr int kFarRow = Product::along_bytes(kApart), kTile = Product::along_bytes(kTileRows);
  constexpr int kRowsTile = kRowTileBytes<Source, Product>, kStage = kRowsStage<Source, Product, kCols>, kStages = stages_of(kStage);
  SIMT_DYN_SHARED(char, shared);
  const int t = static_cast<int>(threadIdx.x), phase = static_cast<int>(blockIdx.y);
  const int col_tiles = ceil_div(g.out_channels, kCols), tile = static_cast<int>(blockIdx.x) / col_tiles;
  const int row0 = tile * kTileRows, col0 = (static_cast<int>(blockIdx.x) - tile * col_tiles) * kCols;
  const ConvAxis h = g.h[phase / g.phases], w = g.w[phase % g.phases];
  const int rows = g.images * h.rows * w.rows;

  const int my_row = t / kAcross, my_chunk = t % kAcross, my_place = Product::along_at(my_row, my_chunk), steps = h.taps * w.taps * depth;
  LaneRow mine[kRowEach];
#pragma unroll
  for (int i = 0; i < kRowEach; ++i) mine[i] = lane_row(g, phase, row0 + my_row + i * kApart, rows);
  const int taps = g.kernel * g.kernel;
  const int weights_at = (col0 + my_row) * taps * depth * kStep;

  // Of the step that is brought next: tap, and the chunk's channel; of the step that arrives next: the latter.
  int tap_h = 0, tap_w = 0, next_c = my_chunk * kChunk<Elem>, arriving_c = next_c, issued = 0;
  unsigned inside = 0;  // kRowEach bits a step, the latest lowest
  const auto issue = [&](int stage) {
    inside <<= kRowEach;
    if (issued < steps) {
      char* to = shared + stage * kStage + my_place;
      if constexpr (Source::kGathers) {
        source.gather(g.source_h, g.source_w, mine, next_c, to, kFarRow);
      } else {
        const int dh = tap_h * h.reach, dw = tap_w * w.reach;
#pragma unroll
        for (int i = 0; i < kRowEach; ++i) {
          const bool in = static_cast<unsigned>(mine[i].h + dh) < static_cast<unsigned>(g.source_h) &&
                          static_cast<unsigned>(mine[i].w + dw) < static_cast<unsigned>(g.source_w) && next_c < g.source_channels;
          source.issue(to + i * kFarRow, kTile, static_cast<int64_t>(mine[i].pixel + dh * g.source_w + dw) * g.source_channels + next_c,
                       in);
          inside |= static_cast<unsigned>(in) << i;
        }
      }
      const int tap = (h.first_tap + tap_h * h.tap_step) * g.kernel + w.first_tap + tap_w * w.tap_step;
      const int at = weights_at + tap * depth * kStep + next_c;
#pragma unroll
      for (int i = 0; i < kColEach; ++i) {
        const bool in = col0 + my_row + i * kApart < g.out_channels;
        cp_async16(to + kRowsTile + i * kFarRow, weight + (in ? at + i * kApart * taps * depth * kStep : 0), in);
      }
      ++issued;
      next_c += kStep;
      if (next_c >= depth * kStep) {
        next_c = my_chunk * kChunk<Elem>;
        if (++tap_w == w.taps) {
          tap_w = 0;
          ++tap_h;
        }
      }
    }
    cp_async_commit();
  };

  Product product;
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) issue(s);
  int stage = 0;
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    const char* at = shared + stage * kStage;
    if constexpr (Source::kReads) {
#pragma unroll
      for (int i = 0; i < kRowEach; ++i) {
        char* chunk = shared + stage * kStage + my_place + i * kFarRow;
        if (inside >> ((kStages - 2) * kRowEach + i) & 1) source.arrive(chunk, kTile, arriving_c, row0 + my_row + i * kApart);
      }
      arriving_c += kStep;
      if (arriving_c >= depth * kStep) arriving_c = my_chunk * kChunk<Elem>;
    }
    Product::show();
    product.settle();
    __syncthreads();
    if (!Product::kAsync) issue(stage == 0 ? kStages - 1 : stage - 1);
    product.along(at, at + kRowsTile);
    if (Product::kAsync) issue(stage == 0 ? kStages - 1 : stage - 1);
    stage = stage == kStages - 1 ? 0 : stage + 1;
  }
  product.settle();

  constexpr int kColChunks = kCols / kChunk<Elem>, kGroups = kLanes / kColChunks, kSlicePitch = slice_pitch(kCols);
  float* slice = reinterpret_cast<float*>(shared);
  const int group = t / kColChunks, col = t % kColChunks * kChunk<Elem>, c = col0 + col;
  const bool wanted = c < g.out_channels;
  typename Epilogue::State state;
  if (wanted) epilogue.begin(state, c);
#pragma unroll
  for (int s = 0; s < Product::kSlices; ++s) {
    __syncthreads();
    product.slice(s, [&](int row, int at, float a, float b) { *reinterpret_cast<float2*>(slice + row * kSlicePitch + at) = float2{a, b}; });
    __syncthreads();
    if (s == 0 && wanted) epilogue.first(state, slice + col);
    for (int r = wanted ? group : Product::kSliceRows; r < Product::kSliceRows; r += kGroups) {
      const int row = row0 + product.slice_row(s, r);
      if (row >= rows) continue;
      float v[kChunk<Elem>];
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; q += 4) {
        const float4 four = *reinterpret_cast<const float4*>(slice + r * kSlicePitch + col + q);
        v[q] = four.x;
        v[q + 1] = four.y;
        v[q + 2] = four.z;
        v[q + 3] = four.w;
      }
      epilogue.row(state, row_target(g, phase, row) + c, v);
    }
  }
  if constexpr (Epilogue::kSums) {
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      slice[group * 2 * kCols + col + q] = wanted ? state.sum[q] : 0;
      slice[(group * 2 + 1) * kCols + col + q] = wanted ? state.dot[q] : 0;
      if (group == 0) slice[kGroups * 2 * kCols + col + q] = wanted ? state.pivot[q] : 0;
    }
    __syncthreads();
    if (t < kCols && col0 + t < g.out_channels) {
      float sum = 0, dot = 0;
      for (int i = 0; i < kGroups; ++i) {
        sum += slice[i * 2 * kCols + t];
        dot += slice[(i * 2 + 1) * kCols + t];
      }
      const int pixels = rows - row0 < kTileRows ? rows - row0 : kTileRows;
      epilogue.finish(phase * tiles + tile, col0 + t, sum, dot, slice[kGroups * 2 * kCols + t], pixels > 0 ? pixels : 0);
    }
  }
}

}  // namespace sknet::cuda
