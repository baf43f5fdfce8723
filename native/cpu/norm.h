// The arithmetic of normalize.h for one vector or one channel: what every op that does something for a batch norm shares.
#pragma once

#include <cmath>

#include "cpu/simd.h"
#include "ops/normalize.h"

namespace sknet::cpu {
namespace {

// Normalize of one block of channels, ready for pixels.
struct NormalizeVec {
  Vec scale, shift;
  bool relu;
  SKNET_INLINE Vec operator()(Vec u) const {
    const Vec z = scale * u + shift;
    return relu ? cpu::relu(z) : z;
  }
};
inline NormalizeVec normalize_at(const Normalize& n, int c0) { return {load(n.scale + c0), load(n.shift + c0), n.relu}; }

// NormGradient of one block of channels.
struct NormGradientVec {
  Vec mean, gain, slope, offset;
  SKNET_INLINE Vec operator()(Vec dz, Vec u) const { return gain * dz + (slope * (u - mean) - offset); }
};
inline NormGradientVec norm_gradient_at(const NormGradient& n, int c0) {
  return {load(n.mean + c0), load(n.gain + c0), load(n.slope + c0), load(n.offset + c0)};
}

// NormClose of one block of channels: g is the gradient with `add` already in it, `output` read only where there is one.
struct NormCloseVec {
  Vec scale, shift, mean;
  bool relu, by_output;
  SKNET_INLINE Vec gate(Vec g, Vec u, Vec output) const {
    if (!relu) return g;
    return where_positive(by_output ? output : scale * u + shift, g);
  }
};
inline NormCloseVec norm_close_at(const NormClose& n, int c0) {
  return {load(n.scale + c0), load(n.shift + c0), load(n.mean + c0), n.relu, n.output != nullptr};
}

// Everything that follows from channel c's float64 mean and sum of squared deviations over `rows`. channels: c unpadded; beyond it scale
// and shift are zero.
inline void set_statistics(const NormStatistics& s, int c, int channels, double mean, double squares, double rows) {
  if (c >= channels) {
    s.mean[c] = s.invstd[c] = s.scale[c] = s.shift[c] = 0;
    return;
  }
  const double invstd = 1.0 / std::sqrt(squares / rows + s.eps);
  s.mean[c] = s.batch_mean[c] = static_cast<float>(mean);
  s.invstd[c] = static_cast<float>(invstd);
  s.batch_var[c] = static_cast<float>(squares / (rows - 1));
  s.scale[c] = static_cast<float>(s.gamma[c] * invstd);
  // With the scale as it was rounded, so that z is exact at the mean.
  s.shift[c] = static_cast<float>(s.beta[c] - mean * s.scale[c]);
}

// Everything that follows from the sums of dz and of dz (u - mean) over `rows`. Padded channels as above.
inline void set_close(const NormClose& n, int c, int channels, double sum, double dot, double rows) {
  if (c >= channels) {
    n.gain[c] = n.slope[c] = n.offset[c] = 0;
    return;
  }
  const double invstd = n.invstd[c], gain = n.gamma[c] * invstd;
  n.dbeta[c] = static_cast<float>(sum);
  n.dgamma[c] = static_cast<float>(dot * invstd);
  n.gain[c] = static_cast<float>(gain);
  n.slope[c] = static_cast<float>(-gain * invstd * invstd * dot / rows);
  n.offset[c] = static_cast<float>(gain * sum / rows);
}

}  // namespace
}  // namespace sknet::cpu
