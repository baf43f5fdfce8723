// Candidates of softmax_cross_entropy.
#pragma once

#include "ops/softmax_cross_entropy.h"

namespace sknet::cuda {

extern const SoftmaxCrossEntropy softmax_cross_entropy_images_fp32, softmax_cross_entropy_images_bf16;

}  // namespace sknet::cuda
