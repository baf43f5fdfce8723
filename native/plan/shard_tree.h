// Summing the shards' results pairwise in a fixed tree over the shard index (DESIGN 3), while they come one after the other: a binary
// counter of partial sums. Level k holds the sum of a complete run of 2^k shards. At the end the runs left over are added from the
// smallest to the largest, which is the tree that splits n at the largest power of two below it.
#pragma once

#include <cstdint>

namespace sknet::plan {

// `Floats` moves n floats where the results are: copy(to, from, n) and add(to, from, n), to += from.
template <class Floats>
class ShardTree {
 public:
  // Of `size` floats. `stack`: as many for each of shard_tree_levels(), `stride` apart.
  ShardTree(Floats floats, float* stack, int64_t stride, int64_t size) : floats_(floats), stack_(stack), stride_(stride), size_(size) {}

  // `result` holds shard `index`'s results; afterwards they are in the tree. For the last shard call finish() instead.
  void add(float* result, int index) {
    const int level = carry(result, index);
    floats_.copy(stack_ + level * stride_, result, size_);
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
  void merge(float* result, int level) { floats_.add(result, stack_ + level * stride_, size_); }

  Floats floats_;
  float* stack_;
  int64_t stride_, size_;
};

constexpr int shard_tree_levels(int shards) {
  int n = 0;
  while ((1 << n) < shards) ++n;
  return n;
}

}  // namespace sknet::plan
