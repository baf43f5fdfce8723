// SGD with momentum as PyTorch's (DESIGN 3): g' = trust (scale g + weight_decay w);  v = momentum v + g';
// w -= lr (nesterov ? g' + momentum v : v), with lr = the step's rate times the segment's. In the same pass the average of the weights that
// it leaves: ema = decay ema + (1 - decay) w.
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/update_control.h"

namespace sknet {

// A run of one tensor's parameters inside the flat parameter memory. What no segment covers is not updated.
struct SgdSegment {
  int64_t offset, size;  // elements
  float weight_decay;
  float lr_scale = 1;
  int tensor = 0;  // number of its tensor, for `trust`
};

struct SgdProblem {
  const SgdSegment* segments;
  int segment_count;
  float momentum;
  bool nesterov;
};

struct SgdArgs {
  float* value;
  float* momentum;
  const float* gradient;
  const float* trust;            // [tensors] from trust_ratio, or null: 1
  const UpdateControl* control;  // lr and the gradient's scale; nothing is changed unless it is live
  float* ema;                    // or null: none is kept
  float ema_decay;
};

using Sgd = Candidate<SgdProblem, SgdArgs>;

}  // namespace sknet
