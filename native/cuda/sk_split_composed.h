// Candidates of sk_split for any shape.
#pragma once

#include "ops/sk_split.h"

namespace sknet::cuda {

extern const SkSplitForward sk_split_forward_composed_fp32, sk_split_forward_composed_bf16;
extern const SkSplitBackward sk_split_backward_composed_fp32, sk_split_backward_composed_bf16;

}  // namespace sknet::cuda
