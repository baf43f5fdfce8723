// The inner product of planes.h on AMX: up to four tiles of at most 16 output pixels of a row, all taps of all planes added to them. A
// tap's operands are those pixels' blocks as they lie in the plane.
#pragma once

#include "cpu/planes.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

constexpr int kTilesTogether = 4;
// Of TileShapes, for each block of a pixel.
constexpr int kTapDepth = kLanes / 2;

struct TilePlace {
  int row, col;  // of its first output pixel
};

// values[N][kTileRows][kLanes]. step: operands between the inputs of neighbouring outputs.
template <int N>
[[gnu::noinline]] void convolve_tiles(const TapGrid* grids, int count, const TilePlace* places, int64_t step, float* values) {
  const int64_t pixel = step * static_cast<int64_t>(sizeof(Operand));
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
  for (const TapGrid* g = grids; g < grids + count; ++g) {
    const Operand* x[kTilesTogether];
    for (int n = 0; n < N; ++n) x[n] = g->x + places[n].row * g->next + places[n].col * step;
    for (int row = 0; row < g->rows; ++row) {
      const Operand* w = g->weights + row * g->w_row;
      int64_t at = row * g->x_row;
      for (int col = 0; col < g->cols; ++col, at += g->x_col, w += g->w_col) {
        load_tile<7>(w, kTileBytes);
        load_tile<4>(x[0] + at, pixel);
        multiply_tiles<0, 4, 7>();
        if constexpr (N > 1) {
          load_tile<5>(x[1] + at, pixel);
          multiply_tiles<1, 5, 7>();
        }
        if constexpr (N > 2) {
          load_tile<6>(x[2] + at, pixel);
          multiply_tiles<2, 6, 7>();
        }
        if constexpr (N > 3) {
          load_tile<4>(x[3] + at, pixel);
          multiply_tiles<3, 4, 7>();
        }
      }
    }
  }
  constexpr int kTile = kTileRows * kLanes;
  constexpr int64_t kRow = kLanes * sizeof(float);
  store_tile<0>(values, kRow);
  if constexpr (N > 1) store_tile<1>(values + kTile, kRow);
  if constexpr (N > 2) store_tile<2>(values + 2 * kTile, kRow);
  if constexpr (N > 3) store_tile<3>(values + 3 * kTile, kRow);
}

// As convolve_rows() of planes_taps.h. A row is cut into tiles of one size, of which the last may begin among pixels that were done.
template <class Finish>
inline void convolve_row_tiles(int depth, int64_t step, const TapGrid* grids, int count, int rows, int cols, const Finish& finish) {
  alignas(64) float values[kTilesTogether * kTileRows * kLanes];
  const int across = ceil_div(cols, kTileRows), size = ceil_div(cols, across), tiles = rows * across;
  const TileShapes shapes(depth, 3, size);
  for (int first = 0; first < tiles; first += kTilesTogether) {
    const int some = min_of(kTilesTogether, tiles - first);
    TilePlace places[kTilesTogether];
    for (int i = 0; i < some; ++i) places[i] = {(first + i) / across, min_of((first + i) % across * size, cols - size)};
    switch (some) {
      case 4:
        convolve_tiles<4>(grids, count, places, step, values);
        break;
      case 3:
        convolve_tiles<3>(grids, count, places, step, values);
        break;
      case 2:
        convolve_tiles<2>(grids, count, places, step, values);
        break;
      default:
        convolve_tiles<1>(grids, count, places, step, values);
    }
    for (int i = 0; i < some; ++i) {
      const int col = (first + i) % across * size, done = col - places[i].col;
      finish(places[i].row, col, size - done, static_cast<const float*>(values) + (i * kTileRows + done) * kLanes);
    }
  }
}

}  // namespace
}  // namespace sknet::cpu

#endif
