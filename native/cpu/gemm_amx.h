// The products of gemm.h on AMX: tiles of 16 pixels (or 16 of k) x 16 outputs, four at a time.
#pragma once

#include "cpu/tile_operands.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

// ---- y[pixel, out]: a tile of x is 16 pixels' block as it lies in memory, half of what a product could sum over

constexpr int kPixelsDepth = kLanes / 2;
constexpr int kRunPixels = 2 * kTileRows;

// values[v][PIXEL_TILES kTileRows][kLanes] of two tiles of pixels (x1: or x0 alone) and V output blocks.
template <int PIXEL_TILES, int V>
[[gnu::noinline]] void multiply_pixels(const Operand* x0, const Operand* x1, int64_t block_stride, int blocks, const Operand* w,
                                       float* values) {
  constexpr int64_t kPixelBytes = kLanes * sizeof(Operand), kWeightBytes = 4 * kLanes * sizeof(Operand);
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
  for (int b = 0; b < blocks; ++b, x0 += block_stride, x1 += block_stride, w += int64_t{kLanes} * 2 * kLanes) {
    load_tile<4>(x0, kPixelBytes);
    load_tile<6>(w, kWeightBytes);
    multiply_tiles<0, 4, 6>();
    if constexpr (V == 2) {
      load_tile<7>(w + 2 * kLanes, kWeightBytes);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (PIXEL_TILES == 2) {
      load_tile<5>(x1, kPixelBytes);
      multiply_tiles<2, 5, 6>();
      if constexpr (V == 2) multiply_tiles<3, 5, 7>();
    }
  }
  constexpr int64_t kRow = kLanes * sizeof(float);
  constexpr int kTile = kTileRows * kLanes, kBlock = PIXEL_TILES * kTile;
  store_tile<0>(values, kRow);
  if constexpr (V == 2) store_tile<1>(values + kBlock, kRow);
  if constexpr (PIXEL_TILES == 2) store_tile<2>(values + kTile, kRow);
  if constexpr (PIXEL_TILES == 2 && V == 2) store_tile<3>(values + kBlock + kTile, kRow);
}

// ---- dw[k, out]: sums over 32 pixels a product. dy is laced, x laced and transposed: [pixels / 32][k][32].

// A block's laced pixels [pixel / 2][kLanes][2], up to a multiple of kReduceGroup of them, in place.
inline void transpose_pixels(Operand* laced, int groups) {
  for (int g = 0; g < groups; ++g, laced += kReduceGroup * kLanes) transpose_laced(laced, laced, 2 * kLanes);
}

// dw[XB blocks of k][kLanes][2 blocks of outputs][kLanes] (+)= over `groups` groups of pixels; V of the output blocks are computed.
template <int XB, int V>
[[gnu::noinline]] void reduce_pixels(const Operand* x, int64_t x_stride, const Operand* dy, int64_t dy_stride, int groups, float* dw,
                                     bool add) {
  constexpr int64_t kRow = 2 * kLanes * sizeof(float), kOperandRow = kTileBytes;
  constexpr int kBlock = kLanes * 2 * kLanes;
  if (add) {
    load_tile<0>(dw, kRow);
    if constexpr (V == 2) load_tile<1>(dw + kLanes, kRow);
    if constexpr (XB == 2) load_tile<2>(dw + kBlock, kRow);
    if constexpr (XB == 2 && V == 2) load_tile<3>(dw + kBlock + kLanes, kRow);
  } else {
    zero_tile<0>();
    zero_tile<1>();
    zero_tile<2>();
    zero_tile<3>();
  }
  for (int g = 0; g < groups; ++g, x += kReduceGroup * kLanes, dy += kReduceGroup * kLanes) {
    load_tile<4>(x, kOperandRow);
    load_tile<6>(dy, kOperandRow);
    multiply_tiles<0, 4, 6>();
    if constexpr (V == 2) {
      load_tile<7>(dy + dy_stride, kOperandRow);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (XB == 2) {
      load_tile<5>(x + x_stride, kOperandRow);
      multiply_tiles<2, 5, 6>();
      if constexpr (V == 2) multiply_tiles<3, 5, 7>();
    }
  }
  store_tile<0>(dw, kRow);
  if constexpr (V == 2) store_tile<1>(dw + kLanes, kRow);
  if constexpr (XB == 2) store_tile<2>(dw + kBlock, kRow);
  if constexpr (XB == 2 && V == 2) store_tile<3>(dw + kBlock + kLanes, kRow);
}

}  // namespace
}  // namespace sknet::cpu

#endif
