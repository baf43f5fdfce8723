// Mean over h and w: [n, h, w, c] -> [n, 1, 1, c], blocked (layout.h).
#pragma once

#include "ops/candidate.h"

namespace sknet {

struct GlobalAvgPoolProblem {
  int n, hw, c;
};

struct GlobalAvgPoolForwardArgs {
  const void* x;  // [n, hw, c]
  void* y;        // [n, c]
};

struct GlobalAvgPoolBackwardArgs {
  const void* dy;   // [n, c]
  void* dx;         // [n, hw, c]
  const void* add;  // dx = ... + add; null: nothing; may be dx
};

using GlobalAvgPoolForward = Candidate<GlobalAvgPoolProblem, GlobalAvgPoolForwardArgs>;
using GlobalAvgPoolBackward = Candidate<GlobalAvgPoolProblem, GlobalAvgPoolBackwardArgs>;

}  // namespace sknet
