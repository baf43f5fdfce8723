// conv2d by cuDNN: any convolution of whole vectors of channels on plain activations. A candidate for each of cuDNN's plans.
#pragma once

#include "ops/registry.h"

namespace sknet::cuda {

OpTable::List<Conv2dForward> conv2d_forward_cudnn(Precision precision);
OpTable::List<Conv2dBackwardData> conv2d_backward_data_cudnn(Precision precision);
OpTable::List<Conv2dBackwardWeight> conv2d_backward_weight_cudnn(Precision precision);

}  // namespace sknet::cuda
