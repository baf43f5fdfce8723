// reduce_norm on the CPU: float64 sums a piece, added in order. Builtins, as std:: functions may be merged across instruction sets.
#include "ops/reduce_norm.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

size_t workspace(const ReduceNormProblem& p) { return sizeof(double) * static_cast<size_t>(flat_chunks(p.size)); }

void run(const ReduceNormProblem& p, const ReduceNormArgs& a, const Exec& exec) {
  double* partial = reinterpret_cast<double*>(exec.workspace);
  parallel_for(*exec.pool, flat_chunks(p.size), [&](int64_t chunk, int) {
    constexpr int kSums = 8;  // independent, so that the additions overlap
    double sums[kSums] = {};
    const int64_t first = chunk * kChunkFloats, last = min_of(p.size, first + kChunkFloats);
    for (int64_t i = first; i < last; i += kSums) {
      for (int j = 0; j < kSums && i + j < last; ++j) sums[j] += static_cast<double>(a.x[i + j]) * a.x[i + j];
    }
    partial[chunk] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  });
  double total = 0;
  for (int64_t chunk = 0; chunk < flat_chunks(p.size); ++chunk) total += partial[chunk];
  const double norm = __builtin_sqrt(total);
  a.control->gradient_norm = norm;
  a.control->gradient_scale = p.clip > 0 && norm > p.clip ? static_cast<float>(p.clip / norm) : 1.0f;
  if (!__builtin_isfinite(norm) || !__builtin_isfinite(*a.loss)) a.control->live = 0;
}

}  // namespace

namespace SKNET_ISA {

const ReduceNorm reduce_norm_plain{"flat", nullptr, workspace, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
