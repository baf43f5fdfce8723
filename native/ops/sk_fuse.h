// Second part of the selective kernel unit: s[n, c] = mean over h, w of sum_m U_m, with U_m = max(scale_m u_m + shift_m, 0).
// The sum over m is never written. mask and mask_u are the sums by which backward closes without another pass (see sk_split.h).
#pragma once

#include "ops/sk_split.h"

namespace sknet {

struct SkFuseProblem {
  int branches, n, hw, c;
};

struct SkFuseForwardArgs {
  const float* u[kMaxBranches];  // [n, hw, c]
  const float* scale;            // [M, c]
  const float* shift;            // [M, c]
  float* s;                      // [n, c]
  float* mask;                   // [M, n, c] number of pixels with z > 0
  float* mask_u;                 // [M, n, c] sum of u over them
};

using SkFuseForward = Candidate<SkFuseProblem, SkFuseForwardArgs>;

}  // namespace sknet
