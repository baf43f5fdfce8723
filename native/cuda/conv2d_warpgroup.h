// Candidate "warpgroup" of conv2d: "gemm" on the tensor cores of compute capability 9.0, in bfloat16. Gradients are read as they are: it is
// cheaper to write them once than to pass them through a batch norm for each tile that reads them.
#pragma once

#include "ops/conv2d.h"

namespace sknet::cuda {

extern const Conv2dForward conv2d_forward_warpgroup_bf16;
extern const Conv2dBackwardData conv2d_backward_data_warpgroup_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_warpgroup_bf16;

}  // namespace sknet::cuda
