// The products of gemm_tiles.h: tiles of 16 pixels (or 16 of k) x 16 outputs, four at a time, 32 numbers a product.
#pragma once

#include "cpu/tile_operands.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

constexpr int kTileDepth = kLanes;         // TileShapes of all products here
constexpr int kRunPixels = 2 * kTileRows;  // pixels of four tiles

// ---- y[pixel, out]: x is [blocks of k / 2][pixels][2 kLanes], w [k / 2][2 blocks of outputs][kLanes][2]

// values[V output blocks, `block` floats apart][pixels][kLanes] (+)= over `depth` pairs of blocks. x1, values1: of the second tile's
// pixels.
template <int PIXEL_TILES, int V>
[[gnu::noinline]] void multiply_pixels(const Operand* x0, const Operand* x1, int64_t pair_stride, int depth, const Operand* w,
                                       float* values0, float* values1, int64_t block, bool add) {
  constexpr int64_t kWeightRow = 4 * kLanes * sizeof(Operand), kRow = kLanes * sizeof(float);
  if (add) {
    load_tile<0>(values0, kRow);
    if constexpr (V == 2) load_tile<1>(values0 + block, kRow);
    if constexpr (PIXEL_TILES == 2) load_tile<2>(values1, kRow);
    if constexpr (PIXEL_TILES == 2 && V == 2) load_tile<3>(values1 + block, kRow);
  } else {
    zero_tile<0>();
    zero_tile<1>();
    zero_tile<2>();
    zero_tile<3>();
  }
  for (int b = 0; b < depth; ++b, x0 += pair_stride, x1 += pair_stride, w += int64_t{2 * kLanes} * 2 * kLanes) {
    load_tile<4>(x0, kTileBytes);
    load_tile<6>(w, kWeightRow);
    multiply_tiles<0, 4, 6>();
    if constexpr (V == 2) {
      load_tile<7>(w + 2 * kLanes, kWeightRow);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (PIXEL_TILES == 2) {
      load_tile<5>(x1, kTileBytes);
      multiply_tiles<2, 5, 6>();
      if constexpr (V == 2) multiply_tiles<3, 5, 7>();
    }
  }
  store_tile<0>(values0, kRow);
  if constexpr (V == 2) store_tile<1>(values0 + block, kRow);
  if constexpr (PIXEL_TILES == 2) store_tile<2>(values1, kRow);
  if constexpr (PIXEL_TILES == 2 && V == 2) store_tile<3>(values1 + block, kRow);
}

// ---- dw[k, out]: dy is laced, x laced and transposed: [pixels / kReduceGroup][k][kReduceGroup]

// A block's laced pixels [pixel / 2][kLanes][2], up to a multiple of kReduceGroup of them, in place.
inline void transpose_pixels(Operand* laced, int groups) {
  for (int g = 0; g < groups; ++g, laced += kReduceGroup * kLanes) transpose_laced(laced, laced, 2 * kLanes);
}

// dw[XB blocks of k][kLanes][2 blocks of outputs][kLanes] (+)= over `groups` groups of pixels; V of the output blocks are computed.
template <int XB, int V>
[[gnu::noinline]] void reduce_pixels(const Operand* x, int64_t x_stride, const Operand* dy, int64_t dy_stride, int groups, float* dw,
                                     bool add) {
  constexpr int64_t kRow = 2 * kLanes * sizeof(float);
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
    load_tile<4>(x, kTileBytes);
    load_tile<6>(dy, kTileBytes);
    multiply_tiles<0, 4, 6>();
    if constexpr (V == 2) {
      load_tile<7>(dy + dy_stride, kTileBytes);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (XB == 2) {
      load_tile<5>(x + x_stride, kTileBytes);
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
