// The results of a step in pieces, in the order in which backward completes them, so that ranks can sum a piece while backward goes on with
// the next (DESIGN 10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/program.h"

namespace sknet::plan {

// A stretch of the results region, in floats; nothing touches it behind step `after` of a shard.
struct Bucket {
  int64_t first, floats;
  size_t after;
};

// All results. First batch statistics and totals, which the loss completes; then gradients, from the last layers to the first, in pieces of
// a fifth of them and at least `least` bytes. Where the pieces lie and their order follow from the network alone, not from the candidates
// that a device chose, so that all ranks sum the same pieces in the same order.
std::vector<Bucket> result_buckets(const Program& program, int64_t least);

// All results in one piece, complete with the last step.
Bucket whole_results(const Program& program);

}  // namespace sknet::plan
