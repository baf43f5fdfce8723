// ema on the CPU, over flat pieces.
#include "ops/ema.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

void run(const EmaProblem& p, const EmaArgs& a, const Exec& exec) {
  if (a.control != nullptr && a.control->live == 0) return;
  const float take = (1.0f - a.decay) * a.scale;
  parallel_for(*exec.pool, flat_chunks(p.size), [&](int64_t chunk, int) {
    const int64_t last = min_of(p.size, (chunk + 1) * kChunkFloats);
    for (int64_t at = chunk * kChunkFloats; at < last; at += kLanes) {
      const int lanes = static_cast<int>(min_of<int64_t>(kLanes, last - at));
      store_part(a.average + at, a.decay * load_part(a.average + at, lanes) + take * load_part(a.value + at, lanes), lanes);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const Ema ema_plain{"flat", nullptr, nullptr, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
