// The 2-norm of a step's gradient, its squares summed in float64 in a fixed order, and what follows from it: whether the step is finite,
// and the factor that clips the gradient to a norm of at most `clip`.
#pragma once

#include <cstdint>

#include "ops/sgd.h"

namespace sknet {

struct ReduceNormProblem {
  const SgdSegment* segments;  // what is updated; the gradient of frozen tensors does not count
  int segment_count;
  double clip = 0;  // 0: off
};

struct ReduceNormArgs {
  const float* x;
  const float* loss;  // [1]
  UpdateControl* control;
};

using ReduceNorm = Candidate<ReduceNormProblem, ReduceNormArgs>;

}  // namespace sknet
