// Candidates of conv2d by matrix products.
#pragma once

#include "ops/conv2d.h"

namespace sknet::cuda {

extern const Conv2dForward conv2d_forward_gemm_fp32, conv2d_forward_gemm_bf16;
extern const Conv2dBackwardData conv2d_backward_data_gemm_fp32, conv2d_backward_data_gemm_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_gemm_fp32, conv2d_backward_weight_gemm_bf16;

}  // namespace sknet::cuda
