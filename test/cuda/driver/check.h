// One device against another on the same small networks: outputs, gradients, running statistics and some steps of training. And a device
// against itself: what training on bytes gives, and on the floats that come of them.
#pragma once

#include <string>
#include <vector>

#include "network.h"

namespace sknet::driver {

struct Comparison {
  std::string network, what;  // what: output, input gradient, gradients, statistics, losses, bytes
  Precision precision;
  double error, limit;  // 2-norm of the difference over that of the reference
};

// `strict`: the reference runs the same kernels (cuda-emulated), so only the order of a few operations differs. Otherwise an activation may
// lie on the other side of a ReLU's kink, a bfloat16 plan is compared with a float32 one, and of whole networks only float32 and one step.
std::vector<Comparison> compare(const Network& network, Precision precision, const std::string& device, const std::string& reference,
                                bool strict);

}  // namespace sknet::driver
