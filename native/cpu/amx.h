// The tile registers of AMX: eight of 16 rows x 64 bytes. Their use is switched on for the process by core/cpu_features.cc; each thread
// shapes them (TileShapes) before the first and gives them back after the last instruction, so that nothing has to be saved meanwhile.
#pragma once

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

#if defined(__AMX_BF16__)
constexpr bool kAmx = true;
constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;  // of a row, at most

// Tiles 0 to 3 are sums [rows][kLanes] of float32; of the others the first `left` are left operands [rows][2 depth] of bfloat16, the rest
// right operands [depth][kLanes][2]: a product sums over 2 depth numbers, and takes longer the more rows there are.
struct TileShapes {
  TileShapes(int depth, int left, int rows = kTileRows) {
    struct [[gnu::packed]] {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int t = 0; t < 8; ++t) {
      const bool is_left = t >= 4 && t < 4 + left;
      config.row_bytes[t] = static_cast<uint16_t>(is_left ? 4 * depth : kTileBytes);
      config.rows[t] = static_cast<uint8_t>(t < 4 || is_left ? rows : depth);
    }
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~TileShapes() { asm volatile("tilerelease" ::: "memory"); }
  TileShapes(const TileShapes&) = delete;
  TileShapes& operator=(const TileShapes&) = delete;
};

// The compiler's own forms do not tell it that tiles are read from memory. stride: bytes from row to row.
template <int TILE>
SKNET_INLINE void load_tile(const void* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(TILE) : "memory");
}
template <int TILE>
SKNET_INLINE void store_tile(void* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(TILE) : "memory");
}
template <int TILE>
SKNET_INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}
// sum += left x right
template <int SUM, int LEFT, int RIGHT>
SKNET_INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUM), "i"(LEFT), "i"(RIGHT));
}

#else
constexpr bool kAmx = false;
struct TileShapes {
  TileShapes(int, int, int = 0) {}
};
#endif

}  // namespace
}  // namespace sknet::cpu
