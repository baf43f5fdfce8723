// Element-wise ops on flat memory: relu, sigmoid, add, copy.
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct PointwiseProblem {
  int64_t size;  // elements
};

struct PointwiseForwardArgs {
  const void* x;
  void* y;
};

// relu: dx = y > 0 ? dy : 0. sigmoid: dx = dy y (1 - y). dx may be dy.
struct PointwiseBackwardArgs {
  const void* y;
  const void* dy;
  void* dx;
  const void* add;  // dx = ... + add; null: nothing; may be dx
};

// y = a + b; y may be a or b.
struct AddArgs {
  const void* a;
  const void* b;
  void* y;
};

using PointwiseForward = Candidate<PointwiseProblem, PointwiseForwardArgs>;
using PointwiseBackward = Candidate<PointwiseProblem, PointwiseBackwardArgs>;
using Add = Candidate<PointwiseProblem, AddArgs>;

}  // namespace sknet
