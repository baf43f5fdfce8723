// First part of the selective kernel unit (paper section 3.1, FACTS 1.1): M grouped, dilated convolutions of one input and their
// batch-norm statistics. The convolutions' raw outputs u_m are what is kept; BN + ReLU is recomputed by whoever reads them from
//   z_m = scale_m u_m + shift_m,  U_m = max(z_m, 0).
// Backward closes the whole unit: it needs the sums that sk_select_backward found and the pooled gradient ds, and gives dx and all
// parameter gradients in one go (CPU.md 4). Activations are blocked (layout.h); C is `out` padded to whole blocks.
#pragma once

#include "ops/conv2d.h"

namespace sknet {

struct SkSplitProblem {
  int branches;                      // M, 1..kMaxBranches
  Conv2dProblem conv[kMaxBranches];  // same n, h, w, c, out, stride, oh, ow in all; their `fusion` is unused
  bool x_norm;                       // x is read through a batch norm
  bool close;                        // backward closes the gradient it writes
};

struct SkSplitForwardArgs {
  const void* x;  // [n, h, w, c]
  Normalize x_norm;
  const float* weight[kMaxBranches];  // OIHW
  void* u[kMaxBranches];              // [n, oh, ow, out]
  NormStatistics
      statistics[kMaxBranches];  // training; with a null gamma the op leaves none (inference: batch_norm_fold makes scale and shift)
};

struct SkSplitBackwardArgs {
  const void* x;
  Normalize x_norm;
  const float* weight[kMaxBranches];
  const float* gamma[kMaxBranches];
  const void* u[kMaxBranches];
  const float* scale[kMaxBranches];  // [C] each
  const float* shift[kMaxBranches];
  const float* mean[kMaxBranches];
  const float* invstd[kMaxBranches];
  const void* dv;           // [n, oh, ow, out] gradient of the unit's output
  const float* attention;   // [M, n, C] or null (plain sum: 1)
  const double* ds;         // [n, C] gradient of the pooled sum, or null (plain sum)
  const double* mask;       // [M, n, C]  forward: number of pixels with z > 0       (sk_fuse; null for a plain sum)
  const double* mask_u;     // [M, n, C]  forward: sum of u over those pixels        (sk_fuse; null for a plain sum)
  const double* dv_mask;    // [M, n, C]  sum of dv over those pixels             (sk_select_backward)
  const double* dv_mask_u;  // [M, n, C]  sum of dv u over those pixels
  void* dx;                 // [n, h, w, c] or null where nobody needs it
  const void* add;          // dx = ... + add; null: nothing; may be dx. With close: null, close.add stands for it
  NormClose close;
  float* dweight[kMaxBranches];
  float* dgamma[kMaxBranches];
  float* dbeta[kMaxBranches];
};

using SkSplitForward = Candidate<SkSplitProblem, SkSplitForwardArgs>;
using SkSplitBackward = Candidate<SkSplitProblem, SkSplitBackwardArgs>;

}  // namespace sknet
