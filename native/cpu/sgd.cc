// sgd on the CPU, over flat pieces of each segment.
#include "ops/sgd.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

void run(const SgdProblem& p, const SgdArgs& a, const Exec& exec) {
  if (a.control->live == 0) return;
  const float lr = a.control->lr, gradient_scale = a.control->gradient_scale, take = 1.0f - a.ema_decay;
  parallel_for(*exec.pool, p.segment_count, [&](int64_t index, int) {
    const SgdSegment& s = p.segments[index];
    const float rate = lr * s.lr_scale, trust = a.trust == nullptr ? 1.0f : a.trust[s.tensor];
    for (int64_t at = s.offset; at < s.offset + s.size; at += kLanes) {
      const int lanes = static_cast<int>(min_of<int64_t>(kLanes, s.offset + s.size - at));
      const Vec w = load_part(a.value + at, lanes);
      const Vec g = trust * (load_part(a.gradient + at, lanes) * gradient_scale + s.weight_decay * w);
      const Vec v = p.momentum * load_part(a.momentum + at, lanes) + g;
      store_part(a.momentum + at, v, lanes);
      const Vec next = w - rate * (p.nesterov ? g + p.momentum * v : v);
      store_part(a.value + at, next, lanes);
      if (a.ema != nullptr) store_part(a.ema + at, a.ema_decay * load_part(a.ema + at, lanes) + take * next, lanes);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const Sgd sgd_plain{"segments", nullptr, nullptr, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
