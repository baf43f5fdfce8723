// trust_ratio on the CPU: the squares of a segment's weights and gradient in float64, added tensor by tensor in order.
#include "ops/trust_ratio.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/square_sum.h"

namespace sknet::cpu {
namespace {

struct Squares {
  double value, gradient;
};

size_t workspace(const TrustRatioProblem& p) { return sizeof(Squares) * static_cast<size_t>(p.segment_count); }

float ratio(const TrustRatioProblem& p, const Squares& squares, float weight_decay, float gradient_scale) {
  const double value = __builtin_sqrt(squares.value), gradient = __builtin_sqrt(squares.gradient) * gradient_scale;
  if (!(value > 0) || !(gradient > 0)) return 1;
  return static_cast<float>(p.coefficient * value / (gradient + weight_decay * value));
}

void run(const TrustRatioProblem& p, const TrustRatioArgs& a, const Exec& exec) {
  if (a.control->live == 0) return;
  Squares* partial = reinterpret_cast<Squares*>(exec.workspace);
  parallel_for(*exec.pool, p.segment_count, [&](int64_t index, int) {
    const SgdSegment& s = p.segments[index];
    if (p.scaled[s.tensor] == 0) return;
    partial[index] = {square_sum(a.value + s.offset, s.size), square_sum(a.gradient + s.offset, s.size)};
  });
  for (int index = 0; index < p.segment_count;) {
    const SgdSegment& first = p.segments[index];
    Squares total{};
    for (; index < p.segment_count && p.segments[index].tensor == first.tensor; ++index) {
      if (p.scaled[first.tensor] == 0) continue;
      total.value += partial[index].value;
      total.gradient += partial[index].gradient;
    }
    a.trust[first.tensor] = p.scaled[first.tensor] != 0 ? ratio(p, total, first.weight_decay, a.control->gradient_scale) : 1.0f;
  }
}

}  // namespace

namespace SKNET_ISA {

const TrustRatio trust_ratio_plain{"segments", nullptr, workspace, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
