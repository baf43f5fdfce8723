// Normal random numbers for weights.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sknet::data {

// Fills `out` with numbers of N(0, std^2): Philox4x32-10 keyed by `seed`, counter (block, FNV-1a of `stream`, kInit), then Box-Muller in
// double. The same (seed, stream) gives the same bits on every machine, and out[i] does not depend on out.size().
void random_normal(uint64_t seed, std::string_view stream, double std, std::span<float> out);

}  // namespace sknet::data
