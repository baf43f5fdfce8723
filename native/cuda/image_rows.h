// What the executor launches besides ops: images in, results out, the tree over the shards.
#pragma once

#include <cstdint>

#include "plan/layout.h"

namespace sknet::cuda {

// [rows, c] float32 -> `layout`, with zeros in the padding; and back.
void rows_in(const float* rows, int64_t count, int c, const plan::BlockedLayout& layout, void* to, void* stream);
void rows_out(const void* from, int64_t count, int c, const plan::BlockedLayout& layout, float* rows, void* stream);

// to += from, n floats.
void add_floats(float* to, const float* from, int64_t n, void* stream);

}  // namespace sknet::cuda
