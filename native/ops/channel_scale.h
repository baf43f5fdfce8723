// y[n, h, w, c] = x[n, h, w, c] gate[n, c]: the last step of a squeeze-and-excitation block.
#pragma once

#include "ops/candidate.h"

namespace sknet {

struct ChannelScaleProblem {
  int n, hw, c;
};

struct ChannelScaleForwardArgs {
  const float* x;     // [n, hw, c]
  const float* gate;  // [n, c]
  float* y;           // [n, hw, c]
};

struct ChannelScaleBackwardArgs {
  const float* x;
  const float* gate;
  const float* dy;
  float* dx;     // [n, hw, c]; may be dy
  float* dgate;  // [n, c]
  bool accumulate_dx;
  bool accumulate_dgate;
};

using ChannelScaleForward = Candidate<ChannelScaleProblem, ChannelScaleForwardArgs>;
using ChannelScaleBackward = Candidate<ChannelScaleProblem, ChannelScaleBackwardArgs>;

}  // namespace sknet
