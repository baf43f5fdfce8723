// What multiplies in matrix products: a parameter of gemm_conv2d.h and gemm_conv2d_weight.h.
#pragma once

#include "cuda/multiply.h"
#include "ops/selection.h"

namespace sknet::cuda {

constexpr int kWideCols = 128, kNarrowCols = 64;  // columns of a tile

// Each warp for itself: every device.
template <class Elem>
struct Warps {
  using Type = Elem;
  template <int kCols>
  using Product = Multiply<Elem, kCols>;
  static constexpr int kStep = PaddedTiles<Elem>::kStep;
  static constexpr bool kAnySource = true;             // row_source.h: also the network's input, and gradients through a norm
  static constexpr bool kHasWide = sizeof(Elem) == 2;  // in float32 wide tiles do not fit the registers
  static constexpr int kMostBranches = kMaxBranches;   // of an SK unit, whose tiles fit shared memory
};

}  // namespace sknet::cuda
