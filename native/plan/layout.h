// Between NHWC float32, which users see, and blocked memory (ops/layout.h).
#pragma once

#include <cstdint>

#include "core/thread_pool.h"
#include "ops/layout.h"

namespace sknet::plan {

struct BlockedLayout {
  int block = 1;
  int elem_bytes = sizeof(float);
  int64_t elements(int64_t n, int64_t hw, int c) const { return n * hw * padded_channels(c, block); }
  // Of memory; whole, as blocks are of four or more.
  int64_t floats(int64_t n, int64_t hw, int c) const { return elements(n, hw, c) * elem_bytes / static_cast<int64_t>(sizeof(float)); }
};

// [n, hw, c] float32 -> blocked; zeros in the padding. bfloat16 rounds to nearest, ties to even.
void to_blocked(ThreadPool& pool, const float* rows, int n, int64_t hw, int c, const BlockedLayout& layout, float* blocked);
void from_blocked(ThreadPool& pool, const float* blocked, int n, int64_t hw, int c, const BlockedLayout& layout, float* rows);

}  // namespace sknet::plan
