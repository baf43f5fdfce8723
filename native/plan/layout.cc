#include "plan/layout.h"

#include <algorithm>

#include "ops/layout.h"

namespace sknet::plan {

void to_blocked(ThreadPool& pool, const float* rows, int n, int64_t hw, int c, int block, float* blocked) {
  const int blocks = blocks_in(c, block);
  parallel_for(pool, static_cast<int64_t>(n) * blocks, [&](int64_t item, int) {
    const int c0 = static_cast<int>(item % blocks) * block, count = std::min(block, c - c0);
    const float* from = rows + item / blocks * hw * c + c0;
    float* to = blocked + item * hw * block;
    for (int64_t pixel = 0; pixel < hw; ++pixel, from += c, to += block) std::fill(std::copy_n(from, count, to), to + block, 0.0f);
  });
}

void from_blocked(ThreadPool& pool, const float* blocked, int n, int64_t hw, int c, int block, float* rows) {
  const int blocks = blocks_in(c, block);
  parallel_for(pool, static_cast<int64_t>(n) * blocks, [&](int64_t item, int) {
    const int c0 = static_cast<int>(item % blocks) * block, count = std::min(block, c - c0);
    const float* from = blocked + item * hw * block;
    float* to = rows + item / blocks * hw * c + c0;
    for (int64_t pixel = 0; pixel < hw; ++pixel, from += block, to += c) std::copy_n(from, count, to);
  });
}

}  // namespace sknet::plan
