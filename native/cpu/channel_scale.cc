// channel_scale on the CPU: an image's block of channels at a time.
#include "ops/channel_scale.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int kRun = 64;  // pixels a partial sum takes

void forward(const ChannelScaleProblem& p, const ChannelScaleForwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    const Vec gate = load_part(a.gate + n * p.c + c0, lanes);
    for (int pixel = 0; pixel < p.hw; ++pixel) {
      const int64_t at = (n * p.hw + pixel) * p.c + c0;
      store_part(a.y + at, load_part(a.x + at, lanes) * gate, lanes);
    }
  });
}

void backward(const ChannelScaleProblem& p, const ChannelScaleBackwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    const Vec gate = load_part(a.gate + n * p.c + c0, lanes);
    Vec total{};
    for (int first = 0; first < p.hw; first += kRun) {
      Vec sum{};
      for (int pixel = first; pixel < min_of(p.hw, first + kRun); ++pixel) {
        const int64_t at = (n * p.hw + pixel) * p.c + c0;
        const Vec dy = load_part(a.dy + at, lanes);
        sum += dy * load_part(a.x + at, lanes);
        const Vec dx = dy * gate;
        store_part(a.dx + at, a.accumulate_dx ? load_part(a.dx + at, lanes) + dx : dx, lanes);
      }
      total += sum;
    }
    float* dgate = a.dgate + n * p.c + c0;
    store_part(dgate, a.accumulate_dgate ? load_part(dgate, lanes) + total : total, lanes);
  });
}

}  // namespace

namespace SKNET_ISA {

const ChannelScaleForward channel_scale_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};
const ChannelScaleBackward channel_scale_backward_plain{"blocks", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
