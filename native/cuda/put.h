// An activation, rounded to what it is stored as.
#pragma once

#include "cuda/simt/simt.h"

namespace sknet::cuda {

__device__ __forceinline__ void put(float* to, float v) { *to = v; }
__device__ __forceinline__ void put(bf16* to, float v) { *to = to_bf(v); }

}  // namespace sknet::cuda
