// The sum of squares of a run of floats, in float64 and always in the same order.
#pragma once

#include <cstdint>

namespace sknet::cpu {
namespace {

inline double square_sum(const float* x, int64_t size) {
  constexpr int kSums = 8;  // independent, so that the additions overlap
  double sums[kSums] = {};
  for (int64_t i = 0; i < size; i += kSums) {
    for (int j = 0; j < kSums && i + j < size; ++j) sums[j] += static_cast<double>(x[i + j]) * x[i + j];
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace
}  // namespace sknet::cpu
