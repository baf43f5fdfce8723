// An SK unit's output as whoever needs it makes it from the branches: v = sum_m a_m U_m with U_m = max(scale_m u_m + shift_m, 0). Without
// attention it is the plain sum of the branches (a = 1, FACTS 1.8).
#pragma once

namespace sknet {

constexpr int kMaxBranches = 4;

struct Selection {
  const void* u[kMaxBranches] = {};       // [n, hw, c]
  const float* scale[kMaxBranches] = {};  // [C]
  const float* shift[kMaxBranches] = {};  // [C]
  const float* attention = nullptr;       // [M, n, C] or null
};

}  // namespace sknet
