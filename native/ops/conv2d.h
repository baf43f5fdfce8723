// 2-D convolution (cross-correlation) with square kernels, stride, padding, dilation and groups.
// Activations NHWC, weights OIHW: weight[out][c / groups][kernel][kernel], bias[out] or null.
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct Conv2dProblem {
  int n, h, w, c;                                      // input
  int out, kernel, stride, padding, dilation, groups;  // out and c are multiples of groups
  int oh, ow;                                          // output, conv2d_out_size() of h and w
};

struct Conv2dForwardArgs {
  const float* x;       // [n, h, w, c]
  const float* weight;  // [out, c / groups, kernel, kernel]
  const float* bias;    // [out] or null
  float* y;             // [n, oh, ow, out]
};

struct Conv2dBackwardDataArgs {
  const float* dy;      // [n, oh, ow, out]
  const float* weight;  // [out, c / groups, kernel, kernel]
  float* dx;            // [n, h, w, c]
  bool accumulate;      // dx += instead of dx =
};

struct Conv2dBackwardWeightArgs {
  const float* x;   // [n, h, w, c]
  const float* dy;  // [n, oh, ow, out]
  float* dweight;   // [out, c / groups, kernel, kernel]
  float* dbias;     // [out] or null
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
