// How passes over activations are cut into pieces: a function of the shape alone, so that sums taken per piece and added in order do not
// depend on the thread count.
#pragma once

#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

// Pieces of every plane [h * w][block] of a blocked tensor.
struct PixelChunks {
  int count, size;  // pieces a plane, pixels a piece (the last may be shorter)
};

// At most `most` pixels a piece, and kMinItems pieces in all where there are as many pixels.
constexpr PixelChunks pixel_chunks(int64_t planes, int hw, int most) {
  const int wanted = static_cast<int>(ceil_div<int64_t>(kMinItems, planes));
  const int size = min_of(most, ceil_div(hw, wanted));
  return {ceil_div(hw, size), size};
}

// For passes that read a plane's piece once, there is no reason to cut but to share the work.
constexpr int kWholePlane = 1 << 30;

// Flat memory, cut into pieces of kChunkFloats.
constexpr int64_t kChunkFloats = 64 * 1024;
constexpr int64_t flat_chunks(int64_t size) { return ceil_div(size, kChunkFloats); }

// Sums over pixels are float32 over runs of this many, float64 beyond: exact enough for batch norm, and the conversions cost nothing.
constexpr int kRun = 64;

}  // namespace
}  // namespace sknet::cpu
