// y[n, h, w, c] = x[n, h, w, c] gate[n, c]: the last step of a squeeze-and-excitation block. Blocked (layout.h).
#pragma once

#include "ops/candidate.h"

namespace sknet {

struct ChannelScaleProblem {
  int n, hw, c;
};

struct ChannelScaleForwardArgs {
  const void* x;     // [n, hw, c]
  const void* gate;  // [n, c]
  void* y;           // [n, hw, c]
};

struct ChannelScaleBackwardArgs {
  const void* x;
  const void* gate;
  const void* dy;
  void* dx;               // [n, hw, c]; may be dy
  void* dgate;            // [n, c]
  const void* add_dx;     // dx = ... + add_dx; null: nothing; may be dx
  const void* add_dgate;  // the same for dgate
};

using ChannelScaleForward = Candidate<ChannelScaleProblem, ChannelScaleForwardArgs>;
using ChannelScaleBackward = Candidate<ChannelScaleProblem, ChannelScaleBackwardArgs>;

}  // namespace sknet
