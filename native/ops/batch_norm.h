// Batch normalisation over all rows (n, h, w) of a shard, per channel, optionally followed by "+ residual" and ReLU in the same pass.
//   y = relu(gamma (x - mean) invstd + beta + residual)
// Backward needs x, not y, except for the ReLU mask where a residual was added (y is kept by its consumer anyway).
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct BatchNormProblem {
  int64_t rows;  // n * h * w; at least 2 in training
  int c;
  float eps;
  bool relu;
  bool residual;
};

struct BatchNormForwardArgs {
  const float* x;         // [rows, c]
  const float* gamma;     // [c]
  const float* beta;      // [c]
  const float* residual;  // [rows, c] or null
  float* y;               // [rows, c]
  float* mean;            // [c] saved for backward
  float* invstd;          // [c] saved for backward, 1 / sqrt(biased variance + eps)
  float* batch_mean;      // [c] for the running statistics
  float* batch_var;       // [c] unbiased, for the running statistics
};

struct BatchNormInferenceArgs {
  const float* x;
  const float* gamma;
  const float* beta;
  const float* running_mean;
  const float* running_var;
  const float* residual;  // or null
  float* y;
};

struct BatchNormBackwardArgs {
  const float* x;
  const float* y;   // the forward's output; read only where residual && relu
  const float* dy;  // [rows, c]
  const float* gamma;
  const float* beta;
  const float* mean;
  const float* invstd;
  float* dx;         // [rows, c]; may be dy itself
  float* dresidual;  // [rows, c] or null; dy itself where there is no ReLU needs no pointer here
  bool accumulate_residual;
  float* dgamma;
  float* dbeta;
};

using BatchNormForward = Candidate<BatchNormProblem, BatchNormForwardArgs>;
using BatchNormInference = Candidate<BatchNormProblem, BatchNormInferenceArgs>;
using BatchNormBackward = Candidate<BatchNormProblem, BatchNormBackwardArgs>;

}  // namespace sknet
