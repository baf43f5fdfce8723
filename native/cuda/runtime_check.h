// From the CUDA runtime's errors to the core's.
#pragma once

#include "cuda/simt/runtime.h"

namespace sknet::cuda {

// Throws Error unless `error` is cudaSuccess: ERR_SKNET_OOM for memory, else ERR_SKNET_DEVICE with what to do. `what` was tried.
void check_cuda(cudaError_t error, const char* what);

}  // namespace sknet::cuda
