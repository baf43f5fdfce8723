// Candidates of conv2d for groups of 1 to 64 channels.
#pragma once

#include "ops/conv2d.h"

namespace sknet::cuda {

extern const Conv2dForward conv2d_forward_grouped_fp32, conv2d_forward_grouped_bf16;
extern const Conv2dBackwardData conv2d_backward_data_grouped_fp32, conv2d_backward_data_grouped_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_grouped_fp32, conv2d_backward_weight_grouped_bf16;

}  // namespace sknet::cuda
