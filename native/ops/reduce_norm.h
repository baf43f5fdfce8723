// The 2-norm of a step's gradient, its squares summed in float64 in a fixed order, and what follows from it: whether the step is finite,
// and the factor that clips the gradient to a norm of at most `clip`.
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/update_control.h"

namespace sknet {

struct ReduceNormProblem {
  int64_t size;
  double clip = 0;  // 0: off
};

struct ReduceNormArgs {
  const float* x;
  const float* loss;  // [1]
  UpdateControl* control;
};

using ReduceNorm = Candidate<ReduceNormProblem, ReduceNormArgs>;

}  // namespace sknet
