// What both forms of sk_split's backward share: from the unit's sums to the branches' batch-norm gradients and the coefficients of du, and
// du itself. Nothing here depends on how the convolutions are done.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/norm.h"
#include "ops/layout.h"
#include "ops/sk_split.h"

namespace sknet::cpu {
namespace {

// du = gain dz + slope (u - mean) - offset, dz = z > 0 ? attention dv + ds / hw : 0   (normalize.h)
struct DuCoefficients {
  float* gain;  // [M, C] each
  float* slope;
  float* offset;
};

inline int64_t du_coefficient_floats(const SkSplitProblem& p) { return 3 * p.branches * padded_channels(p.conv[0].out, kLanes); }

inline DuCoefficients du_coefficients_at(const SkSplitProblem& p, float* memory) {
  const int64_t size = du_coefficient_floats(p) / 3;
  return {memory, memory + size, memory + 2 * size};
}

// dgamma, dbeta and du's coefficients, from the sums per image: dz summed over pixels is attention dv_mask + ds / hw mask, and the same
// with u gives dz u, hence dz (u - mean) = dz u - mean dz.
inline void close_branches(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, ThreadPool& pool) {
  const Conv2dProblem& conv = p.conv[0];
  const int padded = padded_channels(conv.out, kLanes), blocks = padded / kLanes;
  const double hw = static_cast<double>(conv.oh) * conv.ow, rows = hw * conv.n;
  parallel_for(pool, static_cast<int64_t>(p.branches) * blocks, [&](int64_t item, int) {
    const int m = static_cast<int>(item / blocks), c0 = static_cast<int>(item % blocks) * kLanes;
    NormClose close;
    close.gamma = a.gamma[m];
    close.invstd = a.invstd[m];
    close.dgamma = a.dgamma[m];
    close.dbeta = a.dbeta[m];
    close.gain = du.gain + static_cast<int64_t>(m) * padded;
    close.slope = du.slope + static_cast<int64_t>(m) * padded;
    close.offset = du.offset + static_cast<int64_t>(m) * padded;
    for (int c = c0; c < c0 + kLanes; ++c) {
      double sum = 0, dot = 0;
      for (int n = 0; c < conv.out && n < conv.n; ++n) {
        const int64_t i = (static_cast<int64_t>(m) * conv.n + n) * padded + c;
        const double weight = a.attention == nullptr ? 1.0 : a.attention[i];
        double dz = weight * a.dv_mask[i], dz_u = weight * a.dv_mask_u[i];
        if (a.ds != nullptr) {
          const double ds = a.ds[static_cast<int64_t>(n) * padded + c] / hw;
          dz += ds * a.mask[i];
          dz_u += ds * a.mask_u[i];
        }
        sum += dz;
        dot += dz_u - a.mean[m][c] * dz;
      }
      set_close(close, c, conv.out, sum, dot, rows);
    }
  });
}

// du of one image's block of branch m, by the offset of a pixel within the block's pixels.
struct MakeDu {
  const Elem *u, *dv;
  Vec scale, shift, mean, gain, slope, offset, weight, ds;
  SKNET_INLINE Vec operator()(int64_t at) const {
    const Vec v = load(u + at);
    const Vec dz = where_positive(scale * v + shift, weight * load(dv + at) + ds);
    return gain * dz + (slope * (v - mean) - offset);
  }
};

inline MakeDu make_du_at(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& du, int m, int64_t n, int block) {
  const Conv2dProblem& conv = p.conv[m];
  const int c0 = block * kLanes, blocks = blocks_in(conv.out, kLanes), hw = conv.oh * conv.ow;
  const int64_t memory = (n * blocks + block) * hw * kLanes, of_branch = static_cast<int64_t>(m) * blocks * kLanes + c0;
  float ds[kLanes] = {};
  if (a.ds != nullptr) {
    for (int lane = 0; lane < kLanes; ++lane) ds[lane] = static_cast<float>(a.ds[n * blocks * kLanes + c0 + lane] / hw);
  }
  return {static_cast<const Elem*>(a.u[m]) + memory,
          static_cast<const Elem*>(a.dv) + memory,
          load(a.scale[m] + c0),
          load(a.shift[m] + c0),
          load(a.mean[m] + c0),
          load(du.gain + of_branch),
          load(du.slope + of_branch),
          load(du.offset + of_branch),
          a.attention == nullptr ? set1(1) : load(a.attention + (static_cast<int64_t>(m) * conv.n + n) * blocks * kLanes + c0),
          load(ds)};
}

}  // namespace
}  // namespace sknet::cpu
