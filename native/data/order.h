// In which order an epoch visits the samples.
#pragma once

#include <cstdint>
#include <vector>

namespace sknet::data {

// 0..size-1; with shuffle a uniform permutation (Fisher-Yates) that depends on (seed, epoch) only.
std::vector<int32_t> epoch_order(int64_t size, uint64_t seed, uint32_t epoch, bool shuffle);

}  // namespace sknet::data
