// A network as a text file, so that a machine without Node can build plans: written by dump.ts, one layer a line.
//   network NAME HEIGHT WIDTH CHANNELS IMAGES
//   OP NAME INPUT[,INPUT] key=value ...        keys as in lib/model/spec.ts; branches as kernel:dilation:groups/...
#pragma once

#include <string>
#include <vector>

#include "plan/spec.h"

namespace sknet::driver {

struct Network {
  std::string name;
  plan::PlanSpec spec;  // layers, input, shard_size
};

// Throws Error naming file and line where the text is no network.
std::vector<Network> read_networks(const std::string& path);

}  // namespace sknet::driver
