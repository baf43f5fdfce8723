// What the ops of an update tell one another (optim/update.h). It lies in memory they run on, so that on a device no host stands between
// them.
#pragma once

#include <cstdint>

namespace sknet {

struct UpdateControl {
  float lr = 0;              // written before the step
  float gradient_scale = 1;  // by reduce_norm: from clipping, 1 without
  double gradient_norm = 0;  // by reduce_norm
  int32_t live = 1;          // reduce_norm clears it where loss or gradient is not finite; who finds it 0 changes nothing
};

}  // namespace sknet
