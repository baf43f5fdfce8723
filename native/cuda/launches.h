// How steps of training are launched: recorded as graphs or not, one at a time or several in one graph, where a step is so short that the
// time between two launches counts.
#pragma once

#include <cstdint>

#include "plan/program.h"

namespace sknet::cuda {

// Not with SKNET_CUDA_GRAPHS=0, which launches everything anew to look for faults, nor where steps are timed.
bool records_steps(const plan::PlanSpec& spec);

// From what the steps of the plan should take, or SKNET_CUDA_STEPS_PER_LAUNCH (1 to 16); `input`: bytes of a batch, of which each step of a
// launch has its own on the device. Throws Error ERR_SKNET_OPTION for a variable that is no such number.
int steps_per_launch(const plan::Program& program, int64_t input);

}  // namespace sknet::cuda
