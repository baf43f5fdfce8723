// How a [rows, c] tensor is cut into pieces for passes over all of it: a function of the shape alone, so that sums taken per piece and
// added in order do not depend on the thread count. A piece stays in L2 for the passes that read it twice.
#pragma once

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

struct RowChunks {
  int64_t count, size;  // pieces, rows a piece (the last may be shorter)
};

constexpr int64_t kChunkFloats = 64 * 1024;

constexpr RowChunks row_chunks(int64_t rows, int c) {
  const int64_t size = max_of<int64_t>(1, min_of<int64_t>(ceil_div<int64_t>(rows, kMinItems), kChunkFloats / max_of(c, 1)));
  return {ceil_div(rows, size), size};
}

// Passes over [rows, c] that sum per channel go through kRowBlock rows at a time: few enough streams for the prefetcher, enough rows for
// the sums to stay in registers.
constexpr int kRowBlock = 8;

// Flat memory, cut into pieces of kChunkFloats.
constexpr int64_t flat_chunks(int64_t size) { return ceil_div(size, kChunkFloats); }

}  // namespace
}  // namespace sknet::cpu
