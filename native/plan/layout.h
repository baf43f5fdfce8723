// Between NHWC, which users see, and blocked memory (ops/layout.h).
#pragma once

#include <cstdint>

#include "core/thread_pool.h"

namespace sknet::plan {

// [n, hw, c] float32 -> blocked; zeros in the padding.
void to_blocked(ThreadPool& pool, const float* rows, int n, int64_t hw, int c, int block, float* blocked);
void from_blocked(ThreadPool& pool, const float* blocked, int n, int64_t hw, int c, int block, float* rows);

}  // namespace sknet::plan
