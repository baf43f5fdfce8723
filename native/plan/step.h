// One step of a plan: an op with its candidate chosen, ready to be bound to addresses.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/exec.h"
#include "plan/memory.h"

namespace sknet::plan {

enum class Phase { kForward, kLoss, kBackward, kUpdate };

struct Refusal {
  std::string candidate, reason;
};

struct Step {
  std::string op, layer;
  Phase phase = Phase::kForward;
  std::string candidate;
  std::vector<Refusal> refused;  // by earlier candidates
  int64_t flops = 0, bytes = 0;
  double seconds = 0;  // spent in it since the plan was built
  size_t workspace = 0, scratch = 0;
  std::function<std::function<void(const Exec&)>(const Memory&)> bind;
};

}  // namespace sknet::plan
