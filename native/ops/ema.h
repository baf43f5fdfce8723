// Moving averages on flat memory: average = decay average + (1 - decay) scale value.
// BN's running statistics (decay 0.9, scale 1 / shards on the shards' sum), and the EMA of what sgd does not move (scale 1).
#pragma once

#include <cstdint>

#include "ops/candidate.h"
#include "ops/update_control.h"

namespace sknet {

struct EmaProblem {
  int64_t size;
};

struct EmaArgs {
  float* average;
  const float* value;
  float decay;
  float scale;
  const UpdateControl* control;  // nothing is changed unless it is live; null: always
};

using Ema = Candidate<EmaProblem, EmaArgs>;

}  // namespace sknet
