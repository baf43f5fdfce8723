// LARS (You, Gitman and Ginsburg 2017): how far each tensor's step may go, in proportion to the size of its weights.
//   trust = coefficient |w| / (|g| + weight_decay |w|), with g the gradient after clipping; 1 where either norm is zero
// and for tensors that are not scaled (those of one dimension). Squares are summed in float64 in a fixed order.
#pragma once

#include "ops/sgd.h"

namespace sknet {

struct TrustRatioProblem {
  const SgdSegment* segments;  // a tensor's lie one behind the other
  int segment_count;
  const char* scaled;  // [tensors] 0: not
  int tensors;
  float coefficient;
};

struct TrustRatioArgs {
  const float* value;
  const float* gradient;
  float* trust;  // [tensors]
  const UpdateControl* control;
};

using TrustRatio = Candidate<TrustRatioProblem, TrustRatioArgs>;

}  // namespace sknet
