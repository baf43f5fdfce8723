// sk_select on the CPU: softmax over the branches and the weighted sum, and backward the sums from which everything else follows.
#include "ops/sk_select.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int kRun = 8;  // pixels a float32 sum takes; beyond, sums are float64, as the attention's batch norm magnifies rounding

// attention[m][n][c] from logits[n][m][c], for one image.
void softmax_branches(int branches, int n_total, int64_t n, int c, const float* logits, float* attention) {
  for (int ch = 0; ch < c; ++ch) {
    const float* z = logits + n * branches * c + ch;
    float top = z[0], e[kMaxBranches], sum = 0;
    for (int m = 1; m < branches; ++m) top = z[m * c] > top ? z[m * c] : top;
    for (int m = 0; m < branches; ++m) sum += e[m] = std::exp(z[m * c] - top);
    for (int m = 0; m < branches; ++m) attention[(static_cast<int64_t>(m) * n_total + n) * c + ch] = e[m] / sum;
  }
}

void forward(const SkSelectProblem& p, const SkSelectForwardArgs& a, const Exec& exec) {
  if (a.logits != nullptr) {
    parallel_for(*exec.pool, p.n, [&](int64_t n, int) { softmax_branches(p.branches, p.n, n, p.c, a.logits, a.attention); });
  }
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    Vec scale[kMaxBranches], shift[kMaxBranches], weight[kMaxBranches];
    for (int m = 0; m < p.branches; ++m) {
      scale[m] = load_part(a.scale + m * p.c + c0, lanes);
      shift[m] = load_part(a.shift + m * p.c + c0, lanes);
      weight[m] = a.logits == nullptr ? set1(1) : load_part(a.attention + (static_cast<int64_t>(m) * p.n + n) * p.c + c0, lanes);
    }
    for (int pixel = 0; pixel < p.hw; ++pixel) {
      const int64_t at = (n * p.hw + pixel) * p.c + c0;
      Vec v{};
      for (int m = 0; m < p.branches; ++m) v += weight[m] * relu(scale[m] * load_part(a.u[m] + at, lanes) + shift[m]);
      store_part(a.v + at, v, lanes);
    }
  });
}

// dlogit_m = a_m (da_m - sum_k a_k da_k), with da_m = sum of dv U_m = scale_m (sum of dv u_m where z_m > 0) + shift_m (sum of dv there).
void attention_gradient(const SkSelectProblem& p, const SkSelectBackwardArgs& a, int64_t n) {
  for (int ch = 0; ch < p.c; ++ch) {
    float da[kMaxBranches], dot = 0;
    for (int m = 0; m < p.branches; ++m) {
      const int64_t at = (static_cast<int64_t>(m) * p.n + n) * p.c + ch;
      da[m] = a.scale[m * p.c + ch] * a.dv_mask_u[at] + a.shift[m * p.c + ch] * a.dv_mask[at];
      dot += a.attention[at] * da[m];
    }
    for (int m = 0; m < p.branches; ++m) {
      const int64_t at = (static_cast<int64_t>(m) * p.n + n) * p.c + ch;
      a.dlogits[(n * p.branches + m) * p.c + ch] = a.attention[at] * (da[m] - dot);
    }
  }
}

void backward(const SkSelectProblem& p, const SkSelectBackwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    for (int m = 0; m < p.branches; ++m) {
      const Vec scale = load_part(a.scale + m * p.c + c0, lanes), shift = load_part(a.shift + m * p.c + c0, lanes);
      WideSum sum, sum_u;
      for (int first = 0; first < p.hw; first += kRun) {
        Vec run{}, run_u{};
        for (int pixel = first; pixel < min_of(p.hw, first + kRun); ++pixel) {
          const int64_t at = (n * p.hw + pixel) * p.c + c0;
          const Vec u = load_part(a.u[m] + at, lanes);
          const Vec dv = where_positive(scale * u + shift, load_part(a.dv + at, lanes));
          run += dv;
          run_u += dv * u;
        }
        sum.add(run);
        sum_u.add(run_u);
      }
      const int64_t at = (static_cast<int64_t>(m) * p.n + n) * p.c + c0;
      store_part(a.dv_mask + at, sum.times(1), lanes);
      store_part(a.dv_mask_u + at, sum_u.times(1), lanes);
    }
  });
  if (a.attention != nullptr) parallel_for(*exec.pool, p.n, [&](int64_t n, int) { attention_gradient(p, a, n); });
}

}  // namespace

namespace SKNET_ISA {

const SkSelectForward sk_select_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};
const SkSelectBackward sk_select_backward_plain{"blocks", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
