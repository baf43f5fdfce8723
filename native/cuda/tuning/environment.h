// What times of candidates depend on besides the problem.
#pragma once

#include <string>

namespace sknet::cuda {

// The calling thread's device, the driver and the libraries that candidates use, and the version of sknet; one line.
std::string tuning_environment();

// Whether candidates are timed: SKNET_CUDA_TIMING=1 or 0, else on a device yes and on the emulated one, whose times mean nothing, no.
bool times_candidates();

}  // namespace sknet::cuda
