// How many pixels a register tile takes, and how a run of pixels is cut into tiles. From the shape alone.
#pragma once

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

// Two output blocks a tile: 28 accumulators, 2 weights and a broadcast fill the 32 registers of AVX-512; 12 and 8 the 16 of the others.
#if defined(__AVX512F__)
constexpr int kTileSizes[] = {14, 8, 7, 4, 2, 1};
#elif defined(__AVX2__)
constexpr int kTileSizes[] = {6, 4, 2, 1};
#else
constexpr int kTileSizes[] = {4, 2, 1};
#endif
constexpr int kWidestTile = kTileSizes[0];

// The size that cuts `pixels` without a rest, else the widest: the rest then gets smaller ones.
constexpr int tile_for(int pixels) {
  for (const int t : kTileSizes) {
    if (t > 2 && pixels % t == 0) return t;
  }
  return kWidestTile;
}

constexpr int tile_within(int wanted, int left) {
  if (wanted <= left) return wanted;
  for (const int t : kTileSizes) {
    if (t <= left) return t;
  }
  return 1;
}

// Calls f.template operator()<T>() with T = size, one of kTileSizes.
template <class F>
SKNET_INLINE void with_tile(int size, const F& f) {
  switch (size) {
#if defined(__AVX512F__)
    case 14:
      return f.template operator()<14>();
    case 8:
      return f.template operator()<8>();
    case 7:
      return f.template operator()<7>();
#elif defined(__AVX2__)
    case 6:
      return f.template operator()<6>();
#endif
    case 4:
      return f.template operator()<4>();
    case 2:
      return f.template operator()<2>();
    default:
      return f.template operator()<1>();
  }
}

}  // namespace
}  // namespace sknet::cpu
