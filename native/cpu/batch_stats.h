// Mean and variance per channel over the rows of [rows, c]: two passes over each piece while it is in cache, pieces merged in float64
// (Chan, Golub, LeVeque 1979). Exact where the mean is large against the spread, unlike sum-of-squares in float32.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

inline size_t batch_stats_workspace(int64_t rows, int c) {
  return sizeof(float) * static_cast<size_t>(row_chunks(rows, c).count) * 2 * static_cast<size_t>(c);
}

// sums[c] = sum over rows [first, last) of f(x, c0, lanes).
template <class F>
inline void add_rows(const float* x, int64_t first, int64_t last, int c, float* sums, const F& f) {
  zero_floats(sums, c);
  for (int64_t row0 = first; row0 < last; row0 += kRowBlock) {
    const int64_t row1 = min_of(last, row0 + kRowBlock);
    for (int c0 = 0; c0 < c; c0 += kLanes) {
      const int lanes = min_of(kLanes, c - c0);
      Vec sum{};
      for (int64_t row = row0; row < row1; ++row) sum += f(load_part(x + row * c + c0, lanes), c0, lanes);
      store_part(sums + c0, load_part(sums + c0, lanes) + sum, lanes);
    }
  }
}

// emit(channel, mean, sum of squared deviations) in float64, called in parallel over channels. partial: batch_stats_workspace() bytes.
template <class Emit>
inline void batch_stats(ThreadPool& pool, const float* x, int64_t rows, int c, float* partial, const Emit& emit) {
  const RowChunks chunks = row_chunks(rows, c);
  parallel_for(pool, chunks.count, [&](int64_t chunk, int) {
    const int64_t first = chunk * chunks.size, last = min_of(rows, first + chunks.size);
    float* sums = partial + chunk * 2 * c;
    const float scale = 1.0f / static_cast<float>(last - first);
    add_rows(x, first, last, c, sums, [](Vec v, int, int) { return v; });
    for (int c0 = 0; c0 < c; c0 += kLanes) {
      const int lanes = min_of(kLanes, c - c0);
      store_part(sums + c0, load_part(sums + c0, lanes) * scale, lanes);
    }
    add_rows(x, first, last, c, sums + c, [&](Vec v, int c0, int lanes) {
      const Vec d = v - load_part(sums + c0, lanes);
      return d * d;
    });
  });
  parallel_for(pool, ceil_div(c, kLanes), [&](int64_t block, int) {
    for (int ch = static_cast<int>(block) * kLanes; ch < min_of(c, static_cast<int>(block + 1) * kLanes); ++ch) {
      double count = 0, mean = 0, squares = 0;
      for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
        const double n = static_cast<double>(min_of(rows, (chunk + 1) * chunks.size) - chunk * chunks.size);
        const double delta = partial[chunk * 2 * c + ch] - mean, total = count + n;
        mean += delta * n / total;
        squares += partial[chunk * 2 * c + c + ch] + delta * delta * count * n / total;
        count = total;
      }
      emit(ch, mean, squares);
    }
  });
}

}  // namespace
}  // namespace sknet::cpu
