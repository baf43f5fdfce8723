// sk_fuse on the CPU: an image's block of channels at a time, every branch in one go. Sums of kRun pixels are
// added up in float64: the attention's batch norm over the images magnifies their rounding.
#include "ops/sk_fuse.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int kRun = 8;

void forward(const SkFuseProblem& p, const SkFuseForwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    WideSum pooled;
    for (int m = 0; m < p.branches; ++m) {
      const Vec scale = load_part(a.scale + m * p.c + c0, lanes), shift = load_part(a.shift + m * p.c + c0, lanes);
      Vec mask{};
      WideSum mask_u;
      for (int first = 0; first < p.hw; first += kRun) {
        Vec run_sum{}, run_mask{}, run_mask_u{};
        for (int pixel = first; pixel < min_of(p.hw, first + kRun); ++pixel) {
          const Vec u = load_part(a.u[m] + (n * p.hw + pixel) * p.c + c0, lanes);
          const Vec z = scale * u + shift;
          run_sum += relu(z);
          run_mask += where_positive(z, set1(1));
          run_mask_u += where_positive(z, u);
        }
        pooled.add(run_sum);
        mask += run_mask;
        mask_u.add(run_mask_u);
      }
      const int64_t at = (static_cast<int64_t>(m) * p.n + n) * p.c + c0;
      store_part(a.mask + at, mask, lanes);
      store_part(a.mask_u + at, mask_u.times(1), lanes);
    }
    store_part(a.s + n * p.c + c0, pooled.times(1.0 / p.hw), lanes);
  });
}

}  // namespace

namespace SKNET_ISA {

const SkFuseForward sk_fuse_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
