// Candidates of sk_split for groups of 1 to 64 channels.
#pragma once

#include "ops/sk_split.h"

namespace sknet::cuda {

extern const SkSplitForward sk_split_forward_grouped_fp32, sk_split_forward_grouped_bf16;
extern const SkSplitBackward sk_split_backward_grouped_fp32, sk_split_backward_grouped_bf16;
extern const SkSplitBackward sk_split_backward_fused_fp32, sk_split_backward_fused_bf16;

// Why a problem has no tiles, or null.
inline const char* refuse_branches(const SkSplitProblem& p, const char* (*refuse)(const Conv2dProblem&)) {
  for (int m = 0; m < p.branches; ++m) {
    if (const char* reason = refuse(p.conv[m])) return reason;
    if (p.conv[m].groups != p.conv[0].groups) return "branches differ in groups";
  }
  return nullptr;
}

}  // namespace sknet::cuda
