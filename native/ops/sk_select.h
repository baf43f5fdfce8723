// Last part of the selective kernel unit: a = softmax over the branches of logits, v = sum_m a_m U_m with U_m = max(scale_m u_m + shift_m,
// 0). Without logits it is the plain sum of the branches (a = 1, FACTS 1.8).
#pragma once

#include "ops/sk_split.h"

namespace sknet {

struct SkSelectProblem {
  int branches, n, hw, c;
};

struct SkSelectForwardArgs {
  const float* u[kMaxBranches];  // [n, hw, c]
  const float* scale;            // [M, c]
  const float* shift;            // [M, c]
  const float* logits;           // [n, M, c], branch-major as the select layer's rows are; or null
  float* attention;              // [M, n, c]; null where logits is
  float* v;                      // [n, hw, c]
};

struct SkSelectBackwardArgs {
  const float* u[kMaxBranches];
  const float* scale;
  const float* shift;
  const float* attention;  // or null
  const float* dv;         // [n, hw, c]
  float* dv_mask;          // [M, n, c] sum of dv over the pixels with z_m > 0
  float* dv_mask_u;        // [M, n, c] sum of dv u_m over them
  float* dlogits;          // [n, M, c]; null where attention is
};

using SkSelectForward = Candidate<SkSelectProblem, SkSelectForwardArgs>;
using SkSelectBackward = Candidate<SkSelectProblem, SkSelectBackwardArgs>;

}  // namespace sknet
