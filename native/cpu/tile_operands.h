// What AMX multiplies where a sum runs over pixels: one side laced (lace_pixels), the other with a row of pixels a channel.
#pragma once

#include "cpu/amx.h"
#include "cpu/square.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

constexpr int kReduceGroup = 32;  // pixels a product sums over

SKNET_INLINE void copy_block(Operand* to, const Operand* from) { __builtin_memcpy(to, from, kLanes * sizeof(Operand)); }

// A group of laced pixels [pixel / 2][kLanes][2] -> [kLanes][kReduceGroup], rows `to_row` operands apart; `to` may be `laced`.
SKNET_INLINE void transpose_laced(const Operand* laced, Operand* to, int64_t to_row) {
  Vec square[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) square[i] = load_dot(laced + i * 2 * kLanes);
  transpose(square);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) __builtin_memcpy(to + i * to_row, &square[i], sizeof(Vec));
}

}  // namespace
}  // namespace sknet::cpu

#endif
