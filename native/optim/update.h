// What happens once a step, after the shards' results are summed: the gradient's norm and finiteness, clipping, LARS's ratios, SGD,
// running statistics, EMA. Works on flat memory, a device's or the host's; native/plan owns it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/registry.h"

namespace sknet::optim {

struct UpdateSpec {
  int64_t parameter_floats = 0;      // flat parameters at the front
  int64_t tensor_floats = 0;         // and the running statistics behind them
  std::vector<SgdSegment> segments;  // a tensor each, with its number
  std::vector<SgdSegment> frozen;    // the other parameters
  std::vector<char> scaled;          // [tensors] whether LARS scales its step; empty: plain SGD
  float trust_coefficient = 0;       // LARS's
  float momentum = 0;
  bool nesterov = false;
  double grad_clip = 0;              // largest 2-norm; 0: off
  double ema_decay = 0;              // 0: no EMA
  float statistics_momentum = 0.1f;  // of the running statistics, PyTorch's sense
};

struct UpdateMemory {
  float* values;                     // parameters, running statistics
  float* results;                    // gradients, batch statistics summed over the shards
  float* momentum = nullptr;         // parameters only
  float* ema = nullptr;              // as values, or null
  const float* loss = nullptr;       // the step's
  UpdateControl* control = nullptr;  // lr in; norm and whether the step counts out
};

// One of the passes that an update consists of, for people who want to see the plan.
struct UpdatePass {
  std::string op, candidate;
  int64_t flops, bytes;
};

class Update {
 public:
  Update(UpdateSpec spec, const OpTable& table);

  Update(const Update&) = delete;  // sgd's problem points into it
  Update& operator=(const Update&) = delete;

  size_t workspace() const;
  std::vector<UpdatePass> passes() const;
  // A step whose loss or gradient is not finite leaves everything as it was.
  void run(const Exec& exec, const UpdateMemory& memory, int shards) const;
  // The part of it that a training forward alone has: running statistics from the mean of the shards' batch statistics (DESIGN 3).
  void update_statistics(const Exec& exec, const UpdateMemory& memory, int shards) const;

 private:
  int segment_count() const { return static_cast<int>(spec_.segments.size()); }
  ReduceNormProblem norm_problem() const { return {spec_.segments.data(), segment_count(), spec_.grad_clip}; }
  TrustRatioProblem trust_problem() const;
  // The ratios lie at the front of the workspace.
  size_t trust_bytes() const;

  UpdateSpec spec_;
  SgdProblem sgd_problem_;
  const Sgd* sgd_;
  const Ema* ema_;
  const ReduceNorm* norm_;
  const TrustRatio* trust_;  // null: plain SGD
};

}  // namespace sknet::optim
