// global_avg_pool on the CPU: an image's block of channels at a time; sums of kRun pixels are added up, which bounds the rounding error.
#include "ops/global_avg_pool.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int kRun = 64;

void forward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolForwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    Vec total{};
    for (int first = 0; first < p.hw; first += kRun) {
      Vec sum{};
      for (int pixel = first; pixel < min_of(p.hw, first + kRun); ++pixel) sum += load_part(a.x + (n * p.hw + pixel) * p.c + c0, lanes);
      total += sum;
    }
    store_part(a.y + n * p.c + c0, total / static_cast<float>(p.hw), lanes);
  });
}

void backward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolBackwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    const Vec dx = load_part(a.dy + n * p.c + c0, lanes) / static_cast<float>(p.hw);
    for (int pixel = 0; pixel < p.hw; ++pixel) {
      float* at = a.dx + (n * p.hw + pixel) * p.c + c0;
      store_part(at, a.accumulate ? load_part(at, lanes) + dx : dx, lanes);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const GlobalAvgPoolForward global_avg_pool_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};
const GlobalAvgPoolBackward global_avg_pool_backward_plain{"blocks", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
