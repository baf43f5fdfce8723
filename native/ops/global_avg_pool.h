// Mean over h and w: [n, h, w, c] -> [n, 1, 1, c].
#pragma once

#include "ops/candidate.h"

namespace sknet {

struct GlobalAvgPoolProblem {
  int n, hw, c;
};

struct GlobalAvgPoolForwardArgs {
  const float* x;  // [n, hw, c]
  float* y;        // [n, c]
};

struct GlobalAvgPoolBackwardArgs {
  const float* dy;  // [n, c]
  float* dx;        // [n, hw, c]
  bool accumulate;
};

using GlobalAvgPoolForward = Candidate<GlobalAvgPoolProblem, GlobalAvgPoolForwardArgs>;
using GlobalAvgPoolBackward = Candidate<GlobalAvgPoolProblem, GlobalAvgPoolBackwardArgs>;

}  // namespace sknet
