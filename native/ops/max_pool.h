// Square max pooling of blocked activations (layout.h). Padding never wins. Of equal values the first in row-major order of the window
// takes the gradient.
#pragma once

#include "ops/candidate.h"
#include "ops/normalize.h"

namespace sknet {

struct MaxPoolProblem {
  int n, h, w, c;
  int kernel, stride, padding;
  int oh, ow;  // conv2d_out_size() with dilation 1
};

struct MaxPoolForwardArgs {
  const void* x;  // [n, h, w, c]
  Normalize x_norm;
  void* y;  // [n, oh, ow, c]
};

// The arg-max is found again from x and y, so that no index is stored.
struct MaxPoolBackwardArgs {
  const void* x;
  Normalize x_norm;
  const void* y;
  const void* dy;   // [n, oh, ow, c]
  void* dx;         // [n, h, w, c], of the normalised x
  const void* add;  // dx = ... + add; null: nothing; may be dx
};

using MaxPoolForward = Candidate<MaxPoolProblem, MaxPoolForwardArgs>;
using MaxPoolBackward = Candidate<MaxPoolProblem, MaxPoolBackwardArgs>;

}  // namespace sknet
