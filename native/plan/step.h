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

// How long a candidate took when it was tried on the step's problem.
struct Trial {
  std::string candidate;
  double seconds;
};

// A step bound to addresses.
struct Calls {
  std::function<void(const Exec&)> run;
  std::function<void(const Exec&)> pack;  // empty where the candidate packs nothing
};

// What there is to tell of a step.
struct StepInfo {
  std::string op, layer;
  Phase phase = Phase::kForward;
  std::string candidate;
  std::vector<Refusal> refused;  // by earlier candidates; where candidates are timed by all others
  std::vector<Trial> trials;     // of all that accept, fastest first; empty where the registry's order decided
  std::string note;              // what else decided, for people; often empty
  int64_t flops = 0, bytes = 0;
  double seconds = 0;  // spent in it since the plan was built
};

struct Step {
  StepInfo info;
  size_t workspace = 0, scratch = 0, packed = 0;
  int workspace_value = -1;                  // among the plan's values, of a workspace of its own
  std::vector<int64_t> results;              // whose results it writes or reads: offsets of tensors, and of the totals
  std::function<Calls(const Memory&)> bind;  // none for the update's passes
};

}  // namespace sknet::plan
