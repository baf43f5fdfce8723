// Sum of squares of flat memory in float64, in a fixed order: the gradient's norm, and the check that it is finite.
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct ReduceNormProblem {
  int64_t size;
};

struct ReduceNormArgs {
  const float* x;
  double* sum_of_squares;  // [1]; not finite where an element is not
};

using ReduceNorm = Candidate<ReduceNormProblem, ReduceNormArgs>;

}  // namespace sknet
