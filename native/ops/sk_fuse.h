// Second part of the selective kernel unit: s[n, c] = mean over h, w of sum_m U_m, with U_m = max(scale_m u_m + shift_m, 0).
// The sum over m is never written. mask and mask_u are the sums by which backward closes without another pass (see sk_split.h).
// Activations are blocked (layout.h); C is c padded to whole blocks.
#pragma once

#include "ops/sk_split.h"

namespace sknet {

struct SkFuseProblem {
  int branches, n, hw, c;
};

struct SkFuseForwardArgs {
  const void* u[kMaxBranches];       // [n, hw, c]
  const float* scale[kMaxBranches];  // [C]
  const float* shift[kMaxBranches];  // [C]
  double* s;                         // [n, C]
  double* mask;                      // [M, n, C] number of pixels with z > 0; null in inference
  double* mask_u;                    // [M, n, C] sum of u over them; null in inference
};

using SkFuseForward = Candidate<SkFuseProblem, SkFuseForwardArgs>;

}  // namespace sknet
