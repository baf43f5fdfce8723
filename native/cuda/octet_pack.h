// The weights of octet_tile.h in the order in which lanes take them.
#pragma once

#include "core/exec.h"
#include "cuda/octet_tile.h"

namespace sknet::cuda::octets {

// Items of packed weights, 16 bytes each, of a branch.
inline int64_t branch_items(const Plan& p) {
  return with_shape(p.width, p.stride,
                    [&]<class S>() { return static_cast<int64_t>(ceil_div(p.channels, S::kOuts * kOctet)) * S::kItems; });
}
inline size_t packed_bytes(const SkSplitProblem& p) { return 16 * kBranches * static_cast<size_t>(branch_items(plan(p, 1))); }

// One branch's packed weights from OIHW, a lane a number. transposed: the output of the product is the convolution's input, taps are seen
// from there.
template <int kSpan>
static __global__ void __launch_bounds__(256)
    pack_octets(const float* weight, bf16* packed, int64_t size, int c, int width, bool transposed) {
  constexpr bool kWide = kSpan > 1;
  constexpr int kHalves = kSpan > 2 ? kSpan / 2 : 1, kItems = kWide ? 9 * kHalves : 3;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int half = static_cast<int>(i % 2), part = static_cast<int>(i / 2 % 4), lane = static_cast<int>(i / 8 % 32);
  const int64_t item = i / 256;
  const int own = static_cast<int>(item / kItems), of_own = static_cast<int>(item % kItems);
  int to = lane / 4, from = lane % 4 * 2 + half, tap;
  if (kWide) {
    to += own * 16 + part / 2 * 8;
    from += (own / kHalves * kHalves + of_own / 9) * 16 + part % 2 * 8;
    tap = of_own % 9;
  } else {
    to += own * 8;
    from += own * 8;
    tap = of_own * 3 + part;
  }
  const bool real = (kWide || part < 3) && to < c && from < c && to / width == from / width;
  const int o = transposed ? from : to, in = transposed ? to : from;
  packed[i] = real ? to_bf(weight[(static_cast<int64_t>(o) * width + in % width) * 9 + (transposed ? 8 - tap : tap)]) : bf16{0};
}

inline void pack_branches(const SkSplitProblem& p, const float* const* weight, bool transposed, const Exec& exec) {
  const Plan g = plan(p, 1);
  const int64_t size = branch_items(g) * 8;
  with_shape(g.width, g.stride, [&]<class S>() {
    for (int m = 0; m < kBranches; ++m) {
      SIMT_LAUNCH(pack_octets<S::kSpan>, static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, weight[m],
                  reinterpret_cast<bf16*>(exec.packed) + m * size, size, p.conv[0].c, g.width, transposed);
    }
  });
}

}  // namespace sknet::cuda::octets
