// sk_select on the CPU: an image's block of channels at a time, all branches in one pass. Sums of kRun pixels are added up in float64, as
// the attention's batch norm magnifies rounding.
#include "ops/sk_select.h"

#include "cpu/kernels.h"
#include "cpu/norm.h"
#include "cpu/past_cache.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

// A block of channels of every branch.
template <int kBranches>
struct Branches {
  const Elem* u[kBranches];
  Vec scale[kBranches], shift[kBranches];
};

template <int kBranches, class Args>
SKNET_INLINE Branches<kBranches> branches_at(const Args& a, int64_t plane, int hw, int c0) {
  Branches<kBranches> b;
#pragma GCC unroll 4
  for (int m = 0; m < kBranches; ++m) {
    b.u[m] = static_cast<const Elem*>(a.u[m]) + plane * hw * kLanes;
    b.scale[m] = load(a.scale[m] + c0);
    b.shift[m] = load(a.shift[m] + c0);
  }
  return b;
}

template <int kBranches>
void forward_of(const SkSelectProblem& p, const SkSelectForwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes);
  const int64_t planes = planes_in(p.n, p.c);
  const bool past = past_cache(a.v, planes * p.hw * kLanes);
  for_pieces(*exec.pool, planes, p.hw, [&](int64_t plane, int first, int last, int64_t) {
    const Branches<kBranches> b = branches_at<kBranches>(a, plane, p.hw, static_cast<int>(plane % blocks) * kLanes);
    Vec weight[kBranches];
#pragma GCC unroll 4
    for (int m = 0; m < kBranches; ++m) {
      weight[m] = a.attention == nullptr ? set1(1) : load(a.attention + (m * planes + plane) * kLanes);
    }
    Elem* v = static_cast<Elem*>(a.v) + plane * p.hw * kLanes;
    with_store(past, [&](const auto& store_to) {
      for (int64_t at = static_cast<int64_t>(first) * kLanes; at < static_cast<int64_t>(last) * kLanes; at += kLanes) {
        Vec sum{};
#pragma GCC unroll 4
        for (int m = 0; m < kBranches; ++m) sum += weight[m] * relu(b.scale[m] * load(b.u[m] + at) + b.shift[m]);
        store_to(v + at, sum);
      }
    });
  });
}

size_t backward_workspace(const SkSelectProblem& p) { return sum_planes_workspace(planes_in(p.n, p.c), p.hw, 2 * p.branches); }

template <int kBranches>
void backward_of(const SkSelectProblem& p, const SkSelectBackwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes);
  const int64_t planes = planes_in(p.n, p.c);
  const auto piece = [&](int64_t plane, int first, int last, double* out) {
    const Branches<kBranches> b = branches_at<kBranches>(a, plane, p.hw, static_cast<int>(plane % blocks) * kLanes);
    const Elem* dv = static_cast<const Elem*>(a.dv) + plane * p.hw * kLanes;
    WideSum mask[kBranches], mask_u[kBranches];
    for (int p0 = first; p0 < last; p0 += kRun) {
      Vec run[kBranches]{}, run_u[kBranches]{};
      for (int pixel = p0; pixel < min_of(last, p0 + kRun); ++pixel) {
        const int64_t at = static_cast<int64_t>(pixel) * kLanes;
        const Vec g = load(dv + at);
#pragma GCC unroll 4
        for (int m = 0; m < kBranches; ++m) {
          const Vec u = load(b.u[m] + at), gated = where_positive(b.scale[m] * u + b.shift[m], g);
          run[m] += gated;
          run_u[m] += gated * u;
        }
      }
#pragma GCC unroll 4
      for (int m = 0; m < kBranches; ++m) {
        mask[m].add(run[m]);
        mask_u[m].add(run_u[m]);
      }
    }
#pragma GCC unroll 4
    for (int m = 0; m < kBranches; ++m) {
      mask[m].store_to(out + 2 * m * kLanes);
      mask_u[m].store_to(out + (2 * m + 1) * kLanes);
    }
  };
  sum_planes<2 * kBranches>(exec, planes, p.hw, 2 * kBranches, piece, [&](int64_t plane, const double* sums) {
    for (int m = 0; m < kBranches; ++m) {
      const int64_t at = (m * planes + plane) * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) a.dv_mask[at + lane] = sums[2 * m * kLanes + lane];
      for (int lane = 0; lane < kLanes; ++lane) a.dv_mask_u[at + lane] = sums[(2 * m + 1) * kLanes + lane];
    }
  });
}

static_assert(kMaxBranches == 4);

void forward(const SkSelectProblem& p, const SkSelectForwardArgs& a, const Exec& exec) {
  const auto run = p.branches == 1 ? forward_of<1> : p.branches == 2 ? forward_of<2> : p.branches == 3 ? forward_of<3> : forward_of<4>;
  run(p, a, exec);
}

void backward(const SkSelectProblem& p, const SkSelectBackwardArgs& a, const Exec& exec) {
  const auto run = p.branches == 1 ? backward_of<1> : p.branches == 2 ? backward_of<2> : p.branches == 3 ? backward_of<3> : backward_of<4>;
  run(p, a, exec);
}

}  // namespace

namespace SKNET_ISA {

const SkSelectForward sk_select_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};
const SkSelectBackward sk_select_backward_plain{"blocks", nullptr, backward_workspace, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
