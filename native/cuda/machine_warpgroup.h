// Four warps together: compute capability 9.0.
#pragma once

#include "cuda/machine.h"
#include "cuda/multiply_warpgroup.h"

namespace sknet::cuda {

struct Warpgroups {
  using Type = bf16;
  template <int kCols>
  using Product = WarpgroupMultiply<kCols>;
  static constexpr int kStep = Product<kWideCols>::kStep;
  static constexpr bool kHasWide = true, kAnySource = false;
  static constexpr int kMostBranches = 2;
};

}  // namespace sknet::cuda
