// First part of the selective kernel unit (paper section 3.1, FACTS 1.1): M grouped, dilated convolutions of one input and their
// batch-norm statistics. The convolutions' raw outputs u_m are what is kept; BN + ReLU is recomputed by whoever reads them from
//   z_m = scale_m u_m + shift_m,  U_m = max(z_m, 0).
// Backward closes the whole unit: it needs the sums that sk_select_backward found and the pooled gradient ds, and gives dx and all
// parameter gradients in one go (CPU.md 4).
#pragma once

#include "ops/conv2d.h"

namespace sknet {

constexpr int kMaxBranches = 4;

struct SkSplitProblem {
  int branches;                      // M, 1..kMaxBranches
  Conv2dProblem conv[kMaxBranches];  // same n, h, w, c, out, stride, oh, ow in all
  float eps;
};

struct SkSplitForwardArgs {
  const float* x;                     // [n, h, w, c]
  const float* weight[kMaxBranches];  // OIHW
  const float* gamma[kMaxBranches];   // [out]
  const float* beta[kMaxBranches];
  float* u[kMaxBranches];                   // [n, oh, ow, out]
  float* scale;                             // [M, out]  gamma invstd
  float* shift;                             // [M, out]  beta - mean scale
  float* mean;                              // [M, out]  saved for backward (training)
  float* invstd;                            // [M, out]  saved for backward (training)
  float* batch_mean[kMaxBranches];          // [out] for the running statistics (training)
  float* batch_var[kMaxBranches];           // [out] unbiased (training)
  const float* running_mean[kMaxBranches];  // inference: these instead of batch statistics; null in training
  const float* running_var[kMaxBranches];
};

struct SkSplitBackwardArgs {
  const float* x;
  const float* weight[kMaxBranches];
  const float* gamma[kMaxBranches];
  const float* u[kMaxBranches];
  const float* scale;  // [M, out]
  const float* shift;
  const float* mean;
  const float* invstd;
  const float* dv;         // [n, oh, ow, out] gradient of the unit's output
  const float* attention;  // [M, n, out] or null (plain sum: 1)
  const float* ds;         // [n, out] gradient of the pooled sum, or null (plain sum)
  const float* mask;       // [M, n, out]  forward: number of pixels with z > 0       (sk_fuse; null for a plain sum)
  const float* mask_u;     // [M, n, out]  forward: sum of u over those pixels        (sk_fuse; null for a plain sum)
  const float* dv_mask;    // [M, n, out]  sum of dv over those pixels             (sk_select_backward)
  const float* dv_mask_u;  // [M, n, out]  sum of dv u over those pixels
  float* dx;               // [n, h, w, c] or null where nobody needs it
  bool accumulate;
  float* dweight[kMaxBranches];
  float* dgamma[kMaxBranches];
  float* dbeta[kMaxBranches];
};

using SkSplitForward = Candidate<SkSplitProblem, SkSplitForwardArgs>;
using SkSplitBackward = Candidate<SkSplitProblem, SkSplitBackwardArgs>;

}  // namespace sknet
