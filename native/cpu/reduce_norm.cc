// reduce_norm on the CPU: float64 sums a segment, added in order. Builtins, as std:: functions may be merged across instruction sets.
#include "ops/reduce_norm.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/square_sum.h"

namespace sknet::cpu {
namespace {

size_t workspace(const ReduceNormProblem& p) { return sizeof(double) * static_cast<size_t>(p.segment_count); }

void run(const ReduceNormProblem& p, const ReduceNormArgs& a, const Exec& exec) {
  double* partial = reinterpret_cast<double*>(exec.workspace);
  parallel_for(*exec.pool, p.segment_count, [&](int64_t index, int) {
    const SgdSegment& s = p.segments[index];
    partial[index] = square_sum(a.x + s.offset, s.size);
  });
  double total = 0;
  for (int index = 0; index < p.segment_count; ++index) total += partial[index];
  const double norm = __builtin_sqrt(total);
  a.control->gradient_norm = norm;
  a.control->gradient_scale = p.clip > 0 && norm > p.clip ? static_cast<float>(p.clip / norm) : 1.0f;
  if (!__builtin_isfinite(norm) || !__builtin_isfinite(*a.loss)) a.control->live = 0;
}

}  // namespace

namespace SKNET_ISA {

const ReduceNorm reduce_norm_plain{"segments", nullptr, workspace, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
