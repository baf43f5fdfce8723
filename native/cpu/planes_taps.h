// The inner product of planes.h: a tile of neighbouring output pixels in registers, all taps of all planes added to it.
#pragma once

#include "cpu/planes_channels.h"

namespace sknet::cpu {
namespace {

template <int W, int T, int STEP>
SKNET_INLINE void multiply_row(Vec (&acc)[T], const TapGrid& g, const Operand* x, int64_t step, const Operand* w) {
  int col = 0;  // taps done
  const auto take = [&]<int K, int SPACING>() {
    multiply_channels<W, T, STEP, K, SPACING>(acc, x + col * g.x_col, step, w + col * g.w_col, g.w_col);
    col += K;
  };
  if constexpr (STEP > 0) {
    if (g.spacing == 1) {
      while (col + 3 <= g.cols) take.template operator()<3, 1>();
      if (col + 2 == g.cols) return take.template operator()<2, 1>();
    } else if (STEP == 1 && g.spacing == 2) {
      while (col + 3 <= g.cols) take.template operator()<3, 2>();
    }
  }
  while (col < g.cols) take.template operator()<1, 1>();
}

// values: [T][kLanes]. `at`: operands from a grid's first output pixel to the tile's.
using ConvolveTile = void (*)(const TapGrid* grids, int count, int64_t at, int64_t step, float* values);

template <int W, int T, int STEP>
[[gnu::noinline]] void convolve_tile(const TapGrid* grids, int count, int64_t at, int64_t step, float* values) {
  Vec acc[T];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) acc[t] = Vec{};
  for (int i = 0; i < count; ++i) {
    const TapGrid& g = grids[i];
    const Operand *x = g.x + at, *w = g.weights;
    for (int row = 0; row < g.rows; ++row, x += g.x_row, w += g.w_row) multiply_row<W, T, STEP>(acc, g, x, step, w);
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) store(values + t * kLanes, acc[t]);
}

// ---- tiles of a row

#if defined(__AVX512F__)
constexpr int kTiles[] = {14, 8, 7, 4, 2, 1};
#else
constexpr int kTiles[] = {8, 7, 4, 2, 1};
#endif
constexpr int kTileSizes = sizeof(kTiles) / sizeof(kTiles[0]);

// The kernels of one group width and step, by kTiles.
struct TileSet {
  int64_t step;
  ConvolveTile tile[kTileSizes];
};

template <int W, int STEP, int I = 0>
inline void fill_tile_set(TileSet& set) {
  set.tile[I] = convolve_tile<W, kTiles[I], STEP>;
  if constexpr (I + 1 < kTileSizes) fill_tile_set<W, STEP, I + 1>(set);
}

// Calls f.template operator()<W>() with W = block_width(width).
template <class F>
inline void for_width(int width, const F& f) {
  const int w = block_width(width);
  if (w == 1) return f.template operator()<1>();
  if (w == 2) return f.template operator()<2>();
  if constexpr (kLanes > 4) {
    if (w == 4) return f.template operator()<4>();
  }
  if constexpr (kLanes > 8) {
    if (w == 8) return f.template operator()<8>();
  }
  f.template operator()<kLanes>();
}

inline TileSet tile_set(int width, int step) {
  TileSet set{static_cast<int64_t>(step) * kLanes, {}};
  for_width(width, [&]<int W>() {
    if (step == 1) return fill_tile_set<W, 1>(set);
    if (step == 2) return fill_tile_set<W, 2>(set);
    fill_tile_set<W, 0>(set);
  });
  return set;
}

// One row of `cols` output pixels: finish(col, count, values) gets each tile's sums over all grids. The widest tile that divides the row,
// otherwise the widest that fits what is left.
template <class Finish>
inline void convolve_row(const TileSet& set, const TapGrid* grids, int count, int cols, const Finish& finish) {
  alignas(64) float values[kTiles[0] * kLanes];
  int tile = 0;
  while (cols % kTiles[tile] != 0) ++tile;
  const bool even = kTiles[tile] > 2;
  if (!even) tile = 0;
  for (int col = 0; col < cols; col += kTiles[tile]) {
    while (kTiles[tile] > cols - col) ++tile;
    set.tile[tile](grids, count, col * set.step, set.step, values);
    finish(col, kTiles[tile], static_cast<const float*>(values));
  }
}

}  // namespace
}  // namespace sknet::cpu
