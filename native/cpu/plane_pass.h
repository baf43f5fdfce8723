// Passes over the planes [h * w][block] of blocked activations (ops/layout.h), in parallel, cut by the shape alone.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/row_chunks.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

inline int64_t planes_in(int n, int channels) { return static_cast<int64_t>(n) * blocks_in(channels, kLanes); }

// f(plane, first pixel, last pixel, index among all pieces) for pieces of all planes.
template <class F>
inline void for_pieces(ThreadPool& pool, int64_t planes, int hw, const F& f) {
  const PixelChunks chunks = pixel_chunks(planes, hw, kWholePlane);
  parallel_for(pool, planes * chunks.count, [&](int64_t item, int) {
    const int first = static_cast<int>(item % chunks.count) * chunks.size;
    f(item / chunks.count, first, min_of(hw, first + chunks.size), item);
  });
}

inline size_t sum_planes_workspace(int64_t planes, int hw, int sums) {
  const int count = pixel_chunks(planes, hw, kWholePlane).count;
  return count == 1 ? 0 : sizeof(double) * static_cast<size_t>(planes * count * sums * kLanes);
}

// piece(plane, first, last, out) leaves `sums` float64 vectors of a piece at out; finish(plane, total) gets those of the plane.
// workspace: sum_planes_workspace() bytes.
template <int kMostSums, class Piece, class Finish>
inline void sum_planes(const Exec& exec, int64_t planes, int hw, int sums, const Piece& piece, const Finish& finish) {
  const int count = pixel_chunks(planes, hw, kWholePlane).count;
  double* partial = reinterpret_cast<double*>(exec.workspace);
  for_pieces(*exec.pool, planes, hw, [&](int64_t plane, int first, int last, int64_t item) {
    double whole[kMostSums * kLanes];
    double* out = count == 1 ? whole : partial + item * sums * kLanes;
    piece(plane, first, last, out);
    if (count == 1) finish(plane, whole);
  });
  if (count == 1) return;
  parallel_for(*exec.pool, planes, [&](int64_t plane, int) {
    double* total = partial + plane * count * sums * kLanes;
    for (int i = 1; i < count; ++i) {
      for (int at = 0; at < sums * kLanes; ++at) total[at] += total[i * sums * kLanes + at];
    }
    finish(plane, total);
  });
}

}  // namespace
}  // namespace sknet::cpu
