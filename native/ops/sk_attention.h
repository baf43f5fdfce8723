// Third part of the selective kernel unit, the small network between fuse and select (FACTS 1.1):
//   r = W_reduce s;  q = max(BN(r), 0) over the n images;  logits = W_select q;  attention = softmax over the branches.
// Batch norm over as few as two images magnifies rounding by orders of magnitude (docs/performance.md), so s, r and q are kept and
// everything here is computed in float64; the work is negligible. C is c padded to whole blocks (layout.h).
#pragma once

#include "ops/sk_split.h"

namespace sknet {

struct SkAttentionProblem {
  int branches, n, c;
  int d;  // width of the attention
  float eps;
};

struct SkAttentionForwardArgs {
  const double* s;            // [n, C]
  const float* reduce;        // W_reduce [d, c]
  const float* gamma;         // [d]
  const float* beta;          // [d]
  const float* select;        // W_select [M c, d], branch-major rows
  const float* running_mean;  // [d] inference: instead of the images' statistics; null in training
  const float* running_var;   // [d]
  double* reduced;            // [n, d] r, kept for backward
  double* normed;             // [n, d] q, kept for backward
  float* batch_mean;          // [d] training: for the running statistics
  float* batch_var;           // [d] unbiased
  float* attention;           // [M, n, C]
};

struct SkAttentionBackwardArgs {
  const double* s;
  const double* reduced;
  const double* normed;
  const float* reduce;
  const float* gamma;
  const float* beta;
  const float* select;
  const float* attention;            // [M, n, C]
  const float* scale[kMaxBranches];  // [C] of the branches' batch norms
  const float* shift[kMaxBranches];  // [C]
  const double* dv_mask;             // [M, n, C] sk_select_backward's sums; da_m = scale_m dv_mask_u_m + shift_m dv_mask_m
  const double* dv_mask_u;           // [M, n, C]
  double* ds;                        // [n, C] gradient of s; padding zero
  float* dreduce;                    // [d, c]
  float* dgamma;                     // [d]
  float* dbeta;                      // [d]
  float* dselect;                    // [M c, d]
};

using SkAttentionForward = Candidate<SkAttentionProblem, SkAttentionForwardArgs>;
using SkAttentionBackward = Candidate<SkAttentionProblem, SkAttentionBackwardArgs>;

}  // namespace sknet
