// The inner product of planes.h: a tile of neighbouring output pixels in registers, all taps of all planes added to it.
#pragma once

#include "cpu/planes_channels.h"
#include "cpu/planes_tiles.h"

namespace sknet::cpu {
namespace {

// Whether tiles that are whole rows get kernels of their own, which leave the zeros beside the image out.
template <int W, int T, int STEP>
constexpr bool kWholeRows = W == kLanes && STEP == 1 && T >= 7;

template <int W, int R, int T, int STEP>
SKNET_INLINE void multiply_row(Vec (&acc)[R][T], const TapGrid& g, const Operand* x, int64_t step, const Operand* w) {
  int col = 0;  // taps done
  const auto take = [&]<int K, int SPACING, bool EDGES>() {
    const Operand* rows[R];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) rows[r] = x + r * g.next + col * g.x_col;
    multiply_channels<W, R, T, STEP, K, SPACING, EDGES>(acc, rows, step, w + col * g.w_col, g.w_col);
    col += K;
  };
  if constexpr (kWholeRows<W, T, STEP>) {
    if (g.same && g.spacing == 1) return take.template operator()<3, 1, true>();
    if (g.same && g.spacing == 2) return take.template operator()<3, 2, true>();
  }
  if constexpr (STEP > 0) {
    if (g.spacing == 1) {
      while (col + 3 <= g.cols) take.template operator()<3, 1, false>();
      if (col + 2 == g.cols) return take.template operator()<2, 1, false>();
    } else if (STEP == 1 && g.spacing == 2) {
      while (col + 3 <= g.cols) take.template operator()<3, 2, false>();
    }
  }
  while (col < g.cols) take.template operator()<1, 1, false>();
}

// values: [R][T][kLanes]. `at`: operands from a grid's first output pixel to the tile's.
using ConvolveTile = void (*)(const TapGrid* grids, int count, int64_t at, int64_t step, float* values);

template <int W, int R, int T, int STEP>
[[gnu::noinline]] void convolve_tile(const TapGrid* grids, int count, int64_t at, int64_t step, float* values) {
  Vec acc[R][T];
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) acc[r][t] = Vec{};
  }
  for (int i = 0; i < count; ++i) {
    const TapGrid& g = grids[i];
    const Operand *x = g.x + at, *w = g.weights;
    for (int row = 0; row < g.rows; ++row, x += g.x_row, w += g.w_row) multiply_row<W, R, T, STEP>(acc, g, x, step, w);
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) store(values + (r * T + t) * kLanes, acc[r][t]);
  }
}

// ---- tiles of a row

#if defined(__AVX512F__)
constexpr int kTiles[] = {14, 8, 7, 4, 2, 1};
#else
constexpr int kTiles[] = {8, 7, 4, 2, 1};
#endif
constexpr int kTileSizes = sizeof(kTiles) / sizeof(kTiles[0]);

// A tile of two rows where one alone leaves registers free and a product waits for the one before.
template <int W, int T>
constexpr bool kTwoRows = W == kLanes && kLanes == 16 && (T == 7 || T == 8);

// The kernels of one group width and step, by kTiles; none where `whole` says that tiles of AMX take their place.
struct TileSet {
  int whole;  // blocks side by side, or 0
  int64_t step;
  ConvolveTile tile[kTileSizes], two_rows[kTileSizes];  // two_rows: or null
};

template <int W, int STEP, int I = 0>
inline void fill_tile_set(TileSet& set) {
  set.tile[I] = convolve_tile<W, 1, kTiles[I], STEP>;
  if constexpr (kTwoRows<W, kTiles[I]>) set.two_rows[I] = convolve_tile<W, 2, kTiles[I], STEP>;
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
  const int whole = tiled(width) ? side_by_side(width) : 0;
  TileSet set{whole, static_cast<int64_t>(step) * max_of(1, whole) * kLanes, {}, {}};
  for_width(width, [&]<int W>() {
    if constexpr (kAmx && W == kLanes) return;
    if (step == 1) return fill_tile_set<W, 1>(set);
    if (step == 2) return fill_tile_set<W, 2>(set);
    fill_tile_set<W, 0>(set);
  });
  return set;
}

// `rows` rows of `cols` output pixels: finish(row, col, count, values) gets each tile's sums over all grids, row by row. The widest tile
// that divides a row, otherwise the widest that fits what is left. Leaves the grids behind the last row.
template <int kMost, class Finish>
inline void convolve_rows(const TileSet& set, TapGrid (&grids)[kMost], int count, int rows, int cols, const Finish& finish) {
#if defined(__AMX_BF16__)
  if (set.whole > 0) return convolve_row_tiles(set.whole * kTapDepth, set.step, grids, count, rows, cols, finish);
#endif
  alignas(64) float values[2 * kTiles[0] * kLanes];
  int widest = 0;
  while (cols % kTiles[widest] != 0) ++widest;
  if (kTiles[widest] <= 2) widest = 0;
  const bool whole = kTiles[widest] == cols;
  for (int i = 0; i < count; ++i) grids[i].same = grids[i].same && whole;
  for (int row = 0; row < rows;) {
    const int together = whole && set.two_rows[widest] != nullptr && row + 1 < rows ? 2 : 1;
    bool inside = true;
    for (int i = 0; i < count; ++i) inside = inside && grids[i].inside(together);
    TapGrid cut[kMost];
    int some = 0;
    for (int i = 0; !inside && i < count; ++i) {
      cut[some] = grids[i].within(together);
      if (cut[some].rows > 0) ++some;
    }
    const TapGrid* taps = inside ? grids : cut;
    if (inside) some = count;
    if (together == 2) {
      set.two_rows[widest](taps, some, 0, set.step, values);
      finish(row, 0, cols, static_cast<const float*>(values));
      finish(row + 1, 0, cols, static_cast<const float*>(values) + cols * kLanes);
    } else {
      int tile = widest;
      for (int col = 0; col < cols; col += kTiles[tile]) {
        while (kTiles[tile] > cols - col) ++tile;
        set.tile[tile](taps, some, col * set.step, set.step, values);
        finish(row, col, kTiles[tile], static_cast<const float*>(values));
      }
    }
    row += together;
    for (int i = 0; i < count * together; ++i) grids[i % count].next_row();
  }
}

}  // namespace
}  // namespace sknet::cpu
