// conv2d by cuBLASLt: dense 1x1 convolutions and linear layers on plain activations.
#pragma once

#include "ops/conv2d.h"

namespace sknet::cuda {

extern const Conv2dForward conv2d_forward_cublas_fp32, conv2d_forward_cublas_bf16;
extern const Conv2dBackwardData conv2d_backward_data_cublas_fp32, conv2d_backward_data_cublas_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_cublas_fp32, conv2d_backward_weight_cublas_bf16;

}  // namespace sknet::cuda
