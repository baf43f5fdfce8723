// Last part of the selective kernel unit: v = sum_m a_m U_m with U_m = max(scale_m u_m + shift_m, 0). Without attention it is the plain
// sum of the branches (a = 1, FACTS 1.8). Activations are blocked (layout.h); C is c padded to whole blocks.
#pragma once

#include "ops/sk_split.h"

namespace sknet {

struct SkSelectProblem {
  int branches, n, hw, c;
};

struct SkSelectForwardArgs {
  const void* u[kMaxBranches];       // [n, hw, c]
  const float* scale[kMaxBranches];  // [C]
  const float* shift[kMaxBranches];  // [C]
  const float* attention;            // [M, n, C] or null
  void* v;                           // [n, hw, c]
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
