// Launching with more dynamic shared memory than the 48 KB that need no asking.
#pragma once

#include "cuda/simt/runtime.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {

template <class Kernel>
inline void allow_shared(Kernel* kernel, int bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

}  // namespace sknet::cuda
