// Candidates of conv2d by plain loops: any shape, everything fused, slow.
#pragma once

#include "ops/conv2d.h"

namespace sknet::cuda {

extern const Conv2dForward conv2d_forward_direct_fp32, conv2d_forward_direct_bf16;
extern const Conv2dBackwardData conv2d_backward_data_direct_fp32, conv2d_backward_data_direct_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_direct_fp32, conv2d_backward_weight_direct_bf16;

}  // namespace sknet::cuda
