// Element-wise ops on tensors of any shape: relu, sigmoid, add, copy.
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct PointwiseProblem {
  int64_t size;  // elements
};

struct PointwiseForwardArgs {
  const float* x;
  float* y;
};

// relu: dx = y > 0 ? dy : 0. sigmoid: dx = dy y (1 - y). dx may be dy.
struct PointwiseBackwardArgs {
  const float* y;
  const float* dy;
  float* dx;
  bool accumulate;
};

// y = a + b; y may be a or b.
struct AddArgs {
  const float* a;
  const float* b;
  float* y;
};

using PointwiseForward = Candidate<PointwiseProblem, PointwiseForwardArgs>;
using PointwiseBackward = Candidate<PointwiseProblem, PointwiseBackwardArgs>;
using Add = Candidate<PointwiseProblem, AddArgs>;

}  // namespace sknet
