// What both forms of sk_split share: backward from the unit's sums to the coefficients of du, and du itself. Nothing here depends on how
// the convolutions are done.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/norm.h"
#include "ops/layout.h"
#include "ops/sk_split.h"

namespace sknet::cpu {
namespace {

// du = gain dz + slope (u - mean) - offset, dz = z > 0 ? attention dv + ds / hw : 0
// (BN's backward with dbeta = sum dz, dgamma = sum dz xhat: gain = gamma invstd, slope = -gain invstd dgamma / rows, offset = gain dbeta /
// rows).
struct DuCoefficients {
  float* gain;  // [M, C] each
  float* slope;
  float* offset;
};

inline int64_t padded_out(const SkSplitProblem& p) { return padded_channels(p.conv[0].out, kLanes); }

inline size_t du_coefficient_floats(const SkSplitProblem& p) {
  return 3 * static_cast<size_t>(p.branches) * static_cast<size_t>(padded_out(p));
}

inline DuCoefficients du_coefficients_at(const SkSplitProblem& p, float* memory) {
  const int64_t size = p.branches * padded_out(p);
  return {memory, memory + size, memory + 2 * size};
}

// dgamma, dbeta and du's coefficients, from the sums per image: dz summed over pixels is attention dv_mask + ds / hw mask, and the same
// with u gives dz u, hence dz xhat = (dz u - mean dz) invstd.
inline void close_batch_norm(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, ThreadPool& pool) {
  const Conv2dProblem& conv = p.conv[0];
  const int c = static_cast<int>(padded_out(p));
  const double hw = static_cast<double>(conv.oh) * conv.ow, rows = hw * conv.n;
  parallel_for(pool, static_cast<int64_t>(p.branches) * c, [&](int64_t at, int) {
    const int m = static_cast<int>(at / c), ch = static_cast<int>(at % c);
    if (ch >= conv.out) {
      du.gain[at] = du.slope[at] = du.offset[at] = 0;
      return;
    }
    const double mean = a.mean[m][ch], invstd = a.invstd[m][ch];
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

// du of one image's block of channels, ready for pixels.
struct DuVec {
  Vec scale, shift, mean, gain, slope, offset, weight, ds;
  SKNET_INLINE Vec operator()(Vec u, Vec dv) const {
    return gain * where_positive(scale * u + shift, weight * dv + ds) + (slope * (u - mean) - offset);
  }
};

inline DuVec du_at(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, int m, int64_t n, int block) {
  const Conv2dProblem& conv = p.conv[m];
  const int64_t c = padded_out(p), c0 = static_cast<int64_t>(block) * kLanes, at = m * c + c0;
  DuVec v{load(a.scale[m] + c0),
          load(a.shift[m] + c0),
          load(a.mean[m] + c0),
          load(du.gain + at),
          load(du.slope + at),
          load(du.offset + at),
          set1(1),
          Vec{}};
  if (a.attention != nullptr) v.weight = load(a.attention + (static_cast<int64_t>(m) * conv.n + n) * c + c0);
  if (a.ds != nullptr) {
    const double hw = static_cast<double>(conv.oh) * conv.ow;
    for (int lane = 0; lane < kLanes; ++lane) v.ds[lane] = static_cast<float>(a.ds[n * c + c0 + lane] / hw);
  }
  return v;
}

}  // namespace
}  // namespace sknet::cpu
