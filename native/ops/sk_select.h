// Last part of the selective kernel unit: its output v, as selection.h says. A convolution behind it may make v itself (Conv2dFusion).
// Activations are blocked (layout.h); C is c padded to whole blocks.
#pragma once

#include "ops/candidate.h"
#include "ops/selection.h"

namespace sknet {

struct SkSelectProblem {
  int branches, n, hw, c;
};

struct SkSelectForwardArgs : Selection {
  void* v = nullptr;  // [n, hw, c]
};

struct SkSelectBackwardArgs {
  const void* u[kMaxBranches];
  const float* scale[kMaxBranches];
  const float* shift[kMaxBranches];
  const void* dv;     // [n, hw, c]
  double* dv_mask;    // [M, n, C] sum of dv over the pixels with z_m > 0
  double* dv_mask_u;  // [M, n, C] sum of dv u_m over them
};

using SkSelectForward = Candidate<SkSelectProblem, SkSelectForwardArgs>;
using SkSelectBackward = Candidate<SkSelectProblem, SkSelectBackwardArgs>;

}  // namespace sknet
