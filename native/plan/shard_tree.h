// Summing the shards' results pairwise in a fixed tree over the shard index (DESIGN 3), while they come one after the other: a binary
// counter of partial sums. Level k holds the sum of a complete run of 2^k shards. At the end the runs left over are added from the
// smallest to the largest, which is the tree that splits n at the largest power of two below it.
#pragma once

#include <cstdint>

#include "core/thread_pool.h"

namespace sknet::plan {

class ShardTree {
 public:
  // Levels of `size` floats each that add() and finish() need beside the running result.
  static constexpr int levels(int shards) {
    int n = 0;
    while ((1 << n) < shards) ++n;
    return n;
  }

  ShardTree(ThreadPool& pool, float* stack, int64_t size) : pool_(pool), stack_(stack), size_(size) {}

  // `result` holds shard `index`'s results; afterwards they are in the tree. For the last shard call finish() instead.
  void add(float* result, int index) {
    const int level = carry(result, index);
    each([&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) stack_[level * size_ + i] = result[i];
    });
  }

  // `result` holds the last shard's results; afterwards it holds the sum over all.
  void finish(float* result, int shards) {
    const int last = shards - 1;
    for (int level = carry(result, last); (last >> level) != 0; ++level) {
      if (((last >> level) & 1) != 0) merge(result, level);
    }
  }

 private:
  // Merges the complete runs that end at `index`; returns the level of the merged run.
  int carry(float* result, int index) {
    int level = 0;
    for (; ((index >> level) & 1) != 0; ++level) merge(result, level);
    return level;
  }
  void merge(float* result, int level) {
    each([&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) result[i] += stack_[level * size_ + i];
    });
  }
  template <class F>
  void each(const F& f) {
    constexpr int64_t kPiece = 64 * 1024;
    parallel_for(pool_, (size_ + kPiece - 1) / kPiece, [&](int64_t piece, int) {
      const int64_t first = piece * kPiece, last = first + kPiece < size_ ? first + kPiece : size_;
      f(first, last);
    });
  }

  ThreadPool& pool_;
  float* stack_;
  int64_t size_;
};

}  // namespace sknet::plan
