// Square max pooling, NHWC. Padding never wins. Of equal values the first in row-major order of the window takes the gradient.
#pragma once

#include "ops/candidate.h"

namespace sknet {

struct MaxPoolProblem {
  int n, h, w, c;
  int kernel, stride, padding;
  int oh, ow;  // conv2d_out_size() with dilation 1
};

struct MaxPoolForwardArgs {
  const float* x;  // [n, h, w, c]
  float* y;        // [n, oh, ow, c]
};

// The arg-max is found again from x and y, so that no index is stored.
struct MaxPoolBackwardArgs {
  const float* x;
  const float* y;
  const float* dy;  // [n, oh, ow, c]
  float* dx;        // [n, h, w, c]
  bool accumulate;
};

using MaxPoolForward = Candidate<MaxPoolProblem, MaxPoolForwardArgs>;
using MaxPoolBackward = Candidate<MaxPoolProblem, MaxPoolBackwardArgs>;

}  // namespace sknet
