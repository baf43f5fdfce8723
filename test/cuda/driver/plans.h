// Plans on any device, and numbers to run them on: the same for every device and on every machine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace sknet::driver {

// `device`: cpu, cuda, cuda:N or cuda-emulated.
std::unique_ptr<plan::Plan> open_plan(const std::string& device, plan::PlanSpec spec);

// Uniform numbers in [-scale, scale), a function of (seed, stream).
std::vector<float> numbers(int64_t count, float scale, uint32_t stream);
// Weights as a trained network has them: He-scaled, scales of batch norms around 1, positive variances.
void fill_tensors(plan::Plan& plan);
std::vector<int32_t> classes(int count, int classes);

}  // namespace sknet::driver
