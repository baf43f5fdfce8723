// 2-D convolution (cross-correlation) with square kernels, stride, padding, dilation and groups.
// Activations are blocked (layout.h), weights OIHW: weight[out][c / groups][kernel][kernel], bias[out] or null.
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/normalize.h"
#include "ops/selection.h"

namespace sknet {

// What a convolution does for its neighbours in passing (normalize.h); a candidate that cannot refuses.
struct Conv2dFusion {
  bool x_rows = false;      // x is the network's input, float32 NHWC, not blocked
  bool x_norm = false;      // x is read through a batch norm
  int x_branches = 0;       // x is the output of an SK unit of so many branches that nobody wrote: made of them (selection.h)
  bool statistics = false;  // forward leaves y's statistics
  bool y_norm = false;      // forward writes relu?(scale y + shift + residual): inference
  bool dy_norm = false;     // dy is read through BN's backward
  bool close = false;       // backward_data closes the gradient it writes
};

struct Conv2dProblem {
  int n, h, w, c;                                      // input
  int out, kernel, stride, padding, dilation, groups;  // out and c are multiples of groups
  int oh, ow;                                          // output, conv2d_out_size() of h and w
  Conv2dFusion fusion = {};
};

struct Conv2dForwardArgs {
  const void* x;  // [n, h, w, c]; with x_branches: null
  Normalize x_norm;
  const float* weight;  // [out, c / groups, kernel, kernel]
  const float* bias;    // [out] or null
  void* y;              // [n, oh, ow, out]
  NormStatistics statistics;
  Normalize y_norm;
  const void* residual;  // with y_norm, or null
  Selection selection = {};
};

struct Conv2dBackwardDataArgs {
  const void* dy;  // [n, oh, ow, out]
  NormGradient dy_norm;
  const float* weight;  // [out, c / groups, kernel, kernel]
  void* dx;             // [n, h, w, c]
  const void* add;      // dx = ... + add; null: nothing; may be dx. With close: null, close.add stands for it
  NormClose close;
};

struct Conv2dBackwardWeightArgs {
  const void* x;  // [n, h, w, c]; with x_branches: null
  Normalize x_norm;
  const void* dy;  // [n, oh, ow, out]
  NormGradient dy_norm;
  float* dweight;  // [out, c / groups, kernel, kernel]
  float* dbias;    // [out] or null
  Selection selection = {};
};

using Conv2dForward = Candidate<Conv2dProblem, Conv2dForwardArgs>;
using Conv2dBackwardData = Candidate<Conv2dProblem, Conv2dBackwardDataArgs>;
using Conv2dBackwardWeight = Candidate<Conv2dProblem, Conv2dBackwardWeightArgs>;

// floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; less than 1 where the window does not fit.
constexpr int conv2d_out_size(int size, int kernel, int stride, int padding, int dilation) {
  const int span = size + 2 * padding - dilation * (kernel - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

// Multiply-accumulates of one direction, padding counted as work.
constexpr int64_t conv2d_macs(const Conv2dProblem& p) {
  return static_cast<int64_t>(p.n) * p.oh * p.ow * p.out * (p.c / p.groups) * p.kernel * p.kernel;
}

}  // namespace sknet
