// What both forms of sk_split share: from batch statistics to scale and shift, and backward from the unit's sums to the coefficients
// of du. Nothing here depends on how the convolutions are done.
#pragma once

#include <cmath>

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/simd.h"
#include "ops/sk_split.h"

namespace sknet::cpu {
namespace {

// Statistics of branch m, channel c, from float64 mean and sum of squared deviations over `rows`.
inline void set_statistics(const SkSplitProblem& p, const SkSplitForwardArgs& a, int m, int c, double mean, double squares, double rows) {
  const int at = m * p.conv[0].out + c;
  const double invstd = 1.0 / std::sqrt(squares / rows + p.eps);
  a.mean[at] = a.batch_mean[m][c] = static_cast<float>(mean);
  a.invstd[at] = static_cast<float>(invstd);
  a.batch_var[m][c] = static_cast<float>(squares / (rows - 1));
  a.scale[at] = static_cast<float>(a.gamma[m][c] * invstd);
  // With the scale as it was rounded, so that z is exact at the mean.
  a.shift[at] = static_cast<float>(a.beta[m][c] - mean * a.scale[at]);
}

inline void set_running_statistics(const SkSplitProblem& p, const SkSplitForwardArgs& a) {
  for (int m = 0; m < p.branches; ++m) {
    for (int c = 0; c < p.conv[m].out; ++c) {
      const int at = m * p.conv[m].out + c;
      a.scale[at] = a.gamma[m][c] / std::sqrt(a.running_var[m][c] + p.eps);
      a.shift[at] = a.beta[m][c] - a.running_mean[m][c] * a.scale[at];
    }
  }
}

// du = gain dz + slope (u - mean) - offset, dz = z > 0 ? attention dv + ds / hw : 0
// (BN's backward with dbeta = sum dz, dgamma = sum dz xhat: gain = gamma invstd, slope = -gain invstd dgamma / rows, offset = gain dbeta /
// rows).
struct DuCoefficients {
  float* gain;  // [M, out] each
  float* slope;
  float* offset;
};

inline size_t du_coefficient_floats(const SkSplitProblem& p) {
  return 3 * static_cast<size_t>(p.branches) * static_cast<size_t>(p.conv[0].out);
}

inline DuCoefficients du_coefficients_at(const SkSplitProblem& p, float* memory) {
  const int64_t size = static_cast<int64_t>(p.branches) * p.conv[0].out;
  return {memory, memory + size, memory + 2 * size};
}

// dgamma, dbeta and du's coefficients, from the sums per image: dz summed over pixels is attention dv_mask + ds / hw mask, and the same
// with u gives dz u, hence dz xhat = (dz u - mean dz) invstd.
inline void close_batch_norm(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, ThreadPool& pool) {
  const Conv2dProblem& conv = p.conv[0];
  const int c = conv.out;
  const double hw = static_cast<double>(conv.oh) * conv.ow, rows = hw * conv.n;
  parallel_for(pool, static_cast<int64_t>(p.branches) * c, [&](int64_t at, int) {
    const int m = static_cast<int>(at / c), ch = static_cast<int>(at % c);
    const double mean = a.mean[at], invstd = a.invstd[at];
    double sum = 0, dot = 0;
    for (int n = 0; n < conv.n; ++n) {
      const int64_t i = (static_cast<int64_t>(m) * conv.n + n) * c + ch;
      const double weight = a.attention == nullptr ? 1.0 : a.attention[i];
      double dz = weight * a.dv_mask[i], dz_u = weight * a.dv_mask_u[i];
      if (a.ds != nullptr) {
        const double ds = a.ds[static_cast<int64_t>(n) * c + ch] / hw;
        dz += ds * a.mask[i];
        dz_u += ds * a.mask_u[i];
      }
      sum += dz;
      dot += (dz_u - mean * dz) * invstd;
    }
    a.dbeta[m][ch] = static_cast<float>(sum);
    a.dgamma[m][ch] = static_cast<float>(dot);
    const double gain = a.gamma[m][ch] * invstd;
    du.gain[at] = static_cast<float>(gain);
    du.slope[at] = static_cast<float>(-gain * invstd * dot / rows);
    du.offset[at] = static_cast<float>(gain * sum / rows);
  });
}

// du of one image's block of channels: one vector a pixel, handed to put(pixel, du).
template <class Put>
inline void make_du(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, int m, int64_t n, int c0,
                    const Put& put) {
  const Conv2dProblem& conv = p.conv[m];
  const int c = conv.out, lanes = min_of(kLanes, c - c0), hw = conv.oh * conv.ow;
  const int64_t at = static_cast<int64_t>(m) * c + c0, image = (static_cast<int64_t>(m) * conv.n + n) * c + c0;
  const Vec scale = load_part(a.scale + at, lanes), shift = load_part(a.shift + at, lanes), mean = load_part(a.mean + at, lanes);
  const Vec gain = load_part(du.gain + at, lanes), slope = load_part(du.slope + at, lanes), offset = load_part(du.offset + at, lanes);
  const Vec weight = a.attention == nullptr ? set1(1) : load_part(a.attention + image, lanes);
  const Vec ds = a.ds == nullptr ? Vec{} : load_part(a.ds + n * c + c0, lanes) / static_cast<float>(hw);
  for (int pixel = 0; pixel < hw; ++pixel) {
    const int64_t i = (n * hw + pixel) * c + c0;
    const Vec u = load_part(a.u[m] + i, lanes);
    const Vec dz = where_positive(scale * u + shift, weight * load_part(a.dv + i, lanes) + ds);
    put(pixel, gain * dz + slope * (u - mean) - offset);
  }
}

}  // namespace
}  // namespace sknet::cpu
