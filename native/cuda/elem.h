// One activation at a time; chunk.h has them by 16 bytes.
#pragma once

#include "cuda/simt/simt.h"

namespace sknet::cuda {

__device__ __forceinline__ void from_f(float v, float& to) { to = v; }
__device__ __forceinline__ void from_f(float v, bf16& to) { to = to_bf(v); }

// v as it would come back from memory.
template <class Elem>
__device__ __forceinline__ float as_stored(float v) {
  Elem stored;
  from_f(v, stored);
  return to_f(stored);
}

// A NaN stays one.
__device__ __forceinline__ float relu(float v) { return v < 0 ? 0.0f : v; }

}  // namespace sknet::cuda
