// Problems in words: equal ones have equal words, different ones different words, and there is no tab or line break in them.
#pragma once

#include <string>

#include "ops/registry.h"

namespace sknet::cuda {

std::string describe(const Conv2dProblem& p);
std::string describe(const SkSplitProblem& p);
std::string describe(const SkSelectProblem& p);
std::string describe(const BatchNormProblem& p);

}  // namespace sknet::cuda
