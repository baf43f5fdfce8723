// SGD with momentum as PyTorch's (DESIGN 3): g' = scale g + weight_decay w;  v = momentum v + g';  w -= lr (nesterov ? g' + momentum v :
// v).
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/update_control.h"

namespace sknet {

// A run of parameters that share their weight decay, inside the flat parameter memory.
struct SgdSegment {
  int64_t offset, size;  // elements
  float weight_decay;
};

struct SgdProblem {
  int64_t size;  // elements of the flat memory
  const SgdSegment* segments;
  int segment_count;
  float momentum;
  bool nesterov;
};

struct SgdArgs {
  float* value;
  float* momentum;
  const float* gradient;
  const UpdateControl* control;  // lr and the gradient's scale; nothing is changed unless it is live
};

using Sgd = Candidate<SgdProblem, SgdArgs>;

}  // namespace sknet
