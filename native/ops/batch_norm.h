// Batch normalisation over all rows (n, h, w) of a shard, per channel, in the parts that other ops can do in passing (normalize.h):
//   batch_norm_statistics  one read of u, where the op that wrote u did not leave them
//   batch_norm_fold        scale and shift from running statistics
//   batch_norm_apply       y = relu?(z + residual), where a reader cannot read through the norm, or a residual is added
//   batch_norm_close       dz and its sums, where the op that wrote the gradient did not close it
//   batch_norm_gradient    du, where the op that reads it cannot read through the norm
// Activations are blocked (layout.h).
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/normalize.h"

namespace sknet {

struct BatchNormProblem {
  int n, hw, c;  // n * hw at least 2 in training
  int64_t rows() const { return static_cast<int64_t>(n) * hw; }
};

struct BatchNormStatisticsArgs {
  const void* u;
  NormStatistics statistics;
};

struct BatchNormFoldArgs {
  const float* gamma;
  const float* beta;
  const float* running_mean;
  const float* running_var;
  float eps;
  float* scale;
  float* shift;
};

struct BatchNormApplyArgs {
  const void* u;
  Normalize norm;           // its `relu` is ignored
  const void* residual;     // or null
  Normalize residual_norm;  // the residual may itself be read through a norm
  bool relu;
  void* y;  // may be u or residual in inference
};

struct BatchNormCloseArgs {
  const void* dy;
  NormClose close;
  void* dz;  // may be dy; null where dz is dy (no ReLU, nothing to add)
};

struct BatchNormGradientArgs {
  const void* dz;
  NormGradient norm;
  void* du;  // may be dz
};

using BatchNormStatistics = Candidate<BatchNormProblem, BatchNormStatisticsArgs>;
using BatchNormFold = Candidate<BatchNormProblem, BatchNormFoldArgs>;
using BatchNormApply = Candidate<BatchNormProblem, BatchNormApplyArgs>;
using BatchNormClose = Candidate<BatchNormProblem, BatchNormCloseArgs>;
using BatchNormGradient = Candidate<BatchNormProblem, BatchNormGradientArgs>;

}  // namespace sknet
