// Channels of several activations of one size, put together in another order: a concatenation, a slice, a shuffle, a shuffle of a
// concatenation. Blocked (layout.h). With the sources' channels side by side, channel j of y is channel first + order(j) of them, where
//   order(j) = j % groups * (out / groups) + j / groups
// takes one from each of `groups` equal runs in turn; with one group channels keep their order.
#pragma once

#include "ops/candidate.h"

namespace sknet {

constexpr int kMaxSources = 4;

struct ChannelGatherProblem {
  int n, hw;
  int sources;         // 1..kMaxSources
  int c[kMaxSources];  // channels of each
  int first, out;      // first + out is at most the sum of c
  int groups;          // divides out
};

struct ChannelGatherForwardArgs {
  const void* x[kMaxSources];  // [n, hw, c[i]] each
  void* y;                     // [n, hw, out]
  const void* add;             // y = ... + add; null: nothing; may be y
};

// The gradient of one source. Channels that y does not hold get 0.
struct ChannelGatherBackwardArgs {
  int source;
  const void* dy;   // [n, hw, out]
  void* dx;         // [n, hw, c[source]]
  const void* add;  // dx = ... + add; null: nothing; may be dx
};

using ChannelGatherForward = Candidate<ChannelGatherProblem, ChannelGatherForwardArgs>;
using ChannelGatherBackward = Candidate<ChannelGatherProblem, ChannelGatherBackwardArgs>;

}  // namespace sknet
