// sk_fuse on the CPU: an image's block of channels at a time, one streaming read of every branch. Sums of kRun pixels are added up in
// float64: the attention's batch norm over the images magnifies their rounding.
#include "ops/sk_fuse.h"

#include "cpu/kernels.h"
#include "cpu/norm.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

struct BranchSums {
  WideSum pooled, mask, mask_u;
};

// Two sets of sums, to hide the latency of an addition.
BranchSums branch_sums(const Elem* u, int pixels, Vec scale, Vec shift) {
  BranchSums total;
  for (int p0 = 0; p0 < pixels; p0 += kRun) {
    const int p1 = min_of(pixels, p0 + kRun);
    Vec pooled[2]{}, mask[2]{}, mask_u[2]{};
    const auto add = [&](int p, int set) {
      const Vec x = load(u + static_cast<int64_t>(p) * kLanes), z = scale * x + shift;
      pooled[set] += relu(z);
      mask[set] += where_positive(z, set1(1));
      mask_u[set] += where_positive(z, x);
    };
    int p = p0;
    for (; p + 2 <= p1; p += 2) {
      add(p, 0);
      add(p + 1, 1);
    }
    if (p < p1) add(p, 0);
    total.pooled.add(pooled[0] + pooled[1]);
    total.mask.add(mask[0] + mask[1]);
    total.mask_u.add(mask_u[0] + mask_u[1]);
  }
  return total;
}

constexpr int kMostSums = 1 + 2 * kMaxBranches;

size_t workspace(const SkFuseProblem& p) { return sum_planes_workspace(planes_in(p.n, p.c), p.hw, 1 + 2 * p.branches); }

void forward(const SkFuseProblem& p, const SkFuseForwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes);
  const int64_t planes = planes_in(p.n, p.c);
  const auto piece = [&](int64_t plane, int first, int last, double* out) {
    const int c0 = static_cast<int>(plane % blocks) * kLanes;
    WideSum pooled;
    for (int m = 0; m < p.branches; ++m) {
      const Elem* u = static_cast<const Elem*>(a.u[m]) + (plane * p.hw + first) * kLanes;
      const BranchSums sums = branch_sums(u, last - first, load(a.scale[m] + c0), load(a.shift[m] + c0));
      pooled.low += sums.pooled.low;
      pooled.high += sums.pooled.high;
      sums.mask.store_to(out + (1 + 2 * m) * kLanes);
      sums.mask_u.store_to(out + (2 + 2 * m) * kLanes);
    }
    pooled.store_to(out);
  };
  sum_planes<kMostSums>(exec, planes, p.hw, 1 + 2 * p.branches, piece, [&](int64_t plane, const double* sums) {
    for (int lane = 0; lane < kLanes; ++lane) a.s[plane * kLanes + lane] = sums[lane] / p.hw;
    if (a.mask == nullptr) return;
    for (int m = 0; m < p.branches; ++m) {
      const int64_t at = (m * planes + plane) * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) a.mask[at + lane] = sums[(1 + 2 * m) * kLanes + lane];
      for (int lane = 0; lane < kLanes; ++lane) a.mask_u[at + lane] = sums[(2 + 2 * m) * kLanes + lane];
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const SkFuseForward sk_fuse_forward_plain{"blocks", nullptr, workspace, nullptr, forward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
