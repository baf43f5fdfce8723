// One to kMaxBranches branches of a selective kernel unit: the number is a template argument, so that a lane keeps all in registers.
#pragma once

#include "cuda/chunk.h"
#include "cuda/elem.h"
#include "ops/sk_split.h"

namespace sknet::cuda {

// What a kernel is given, and the batch norm of the calling lane's channels.
template <class Elem, int kBranches>
struct Branches {
  const Elem* u[kBranches];
  const float* scale_of[kBranches];
  const float* shift_of[kBranches];
  float scale[kBranches][kChunk<Elem>] = {}, shift[kBranches][kChunk<Elem>] = {};

  __device__ __forceinline__ void begin(int c, int channels) {
    if (c >= channels) return;
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      load_vector(scale_of[m] + c, scale[m]);
      load_vector(shift_of[m] + c, shift[m]);
    }
  }
  // A chunk of each branch; there may be more in `raw`.
  template <int kCount>
  __device__ __forceinline__ void fetch(int64_t at, uint4 (&raw)[kCount]) const {
#pragma unroll
    for (int m = 0; m < kBranches; ++m) raw[m] = fetch_chunk(u[m] + at);
  }
  __device__ __forceinline__ float z(int m, int q, float v) const { return scale[m][q] * v + shift[m][q]; }
};

template <class Elem, int kBranches, class Args>
Branches<Elem, kBranches> branches_of(const Args& a) {
  Branches<Elem, kBranches> b;
  for (int m = 0; m < kBranches; ++m) {
    b.u[m] = static_cast<const Elem*>(a.u[m]);
    b.scale_of[m] = a.scale[m];
    b.shift_of[m] = a.shift[m];
  }
  return b;
}

static_assert(kMaxBranches == 4);

// Calls f.template operator()<branches>().
template <class F>
void with_branches(int branches, const F& f) {
  if (branches == 1) return f.template operator()<1>();
  if (branches == 2) return f.template operator()<2>();
  if (branches == 3) return f.template operator()<3>();
  f.template operator()<4>();
}

}  // namespace sknet::cuda
