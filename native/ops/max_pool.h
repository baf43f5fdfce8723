// Square max pooling of blocked activations (layout.h). Padding never wins. Of equal values the first in row-major order of the window
// takes the gradient.
#pragma once

#include "ops/candidate.h"
#include "ops/normalize.h"

namespace sknet {

struct MaxPoolProblem {
  int n, h, w, c;
  int kernel, stride, padding;
  int oh, ow;  // max_pool_out_size()
};

// Windows that fit; with `ceil` also one that begins inside the image, or its padding before it, and is cut at the end (PyTorch's rule).
// Less than 1 where none fits.
constexpr int max_pool_out_size(int size, int kernel, int stride, int padding, bool ceil) {
  const int span = size + 2 * padding - kernel;
  if (!ceil) return span < 0 ? 0 : span / stride + 1;
  const int out = span <= 0 ? 1 : (span + stride - 1) / stride + 1;
  return (out - 1) * stride < size + padding ? out : out - 1;
}

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
