// Convolutions of 1x1 images with few rows: the attention of an SK unit, the gates of an SE block. Their work is negligible, but what
// follows is batch norm over as few as two rows, which magnifies rounding errors by orders of magnitude: so sums are taken in float64.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/simd.h"
#include "ops/conv2d.h"

namespace sknet::cpu {
namespace {

constexpr int kFewRows = 512;
constexpr int64_t kFewRowsMacs = int64_t{4} << 20;
constexpr int kColumns = 64;  // float64 sums held at once

inline const char* few_rows_refuse(const Conv2dProblem& p) {
  if (p.h != 1 || p.w != 1 || p.kernel != 1 || p.padding != 0 || p.groups != 1) return "not a linear layer";
  if (p.n > kFewRows) return "more than 512 rows";
  if (conv2d_macs(p) > kFewRowsMacs) return "enough work for the matrix product";
  return nullptr;
}

// out[r][j] = sum over k of a(r, k) b(k)[j], in float64; j in columns of kColumns, b(k) a row of `cols` floats.
template <class A, class B>
inline void float64_product(const Exec& exec, int rows, int depth, int cols, float* out, bool accumulate, const A& a, const B& b) {
  const int parts = ceil_div(cols, kColumns);
  parallel_for(*exec.pool, static_cast<int64_t>(rows) * parts, [&](int64_t item, int) {
    const int r = static_cast<int>(item / parts), j0 = static_cast<int>(item % parts) * kColumns, width = min_of(kColumns, cols - j0);
    double sums[kColumns] = {};
    for (int k = 0; k < depth; ++k) {
      const double scale = a(r, k);
      const float* row = b(k) + j0;
      for (int j = 0; j < width; ++j) sums[j] += scale * static_cast<double>(row[j]);
    }
    float* y = out + static_cast<int64_t>(r) * cols + j0;
    for (int j = 0; j < width; ++j) y[j] = static_cast<float>(accumulate ? y[j] + sums[j] : sums[j]);
  });
}

inline void few_rows_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * p.out, [&](int64_t item, int) {
    const int64_t n = item / p.out, o = item % p.out;
    const float* x = a.x + n * p.c;
    const float* w = a.weight + o * p.c;
    constexpr int kSums = 8;  // independent, so that the additions overlap
    double sums[kSums] = {};
    for (int c = 0; c < p.c; c += kSums) {
      for (int j = 0; j < kSums && c + j < p.c; ++j) sums[j] += static_cast<double>(x[c + j]) * w[c + j];
    }
    const double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    a.y[item] = static_cast<float>(a.bias == nullptr ? sum : sum + a.bias[o]);
  });
}

inline void few_rows_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  float64_product(
      exec, p.n, p.out, p.c, a.dx, a.accumulate, [&](int n, int o) { return a.dy[static_cast<int64_t>(n) * p.out + o]; },
      [&](int o) { return a.weight + static_cast<int64_t>(o) * p.c; });
}

inline void few_rows_backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  float64_product(
      exec, p.out, p.n, p.c, a.dweight, false, [&](int o, int n) { return a.dy[static_cast<int64_t>(n) * p.out + o]; },
      [&](int n) { return a.x + static_cast<int64_t>(n) * p.c; });
  if (a.dbias == nullptr) return;
  for (int o = 0; o < p.out; ++o) {
    double sum = 0;
    for (int n = 0; n < p.n; ++n) sum += a.dy[static_cast<int64_t>(n) * p.out + o];
    a.dbias[o] = static_cast<float>(sum);
  }
}

}  // namespace
}  // namespace sknet::cpu
