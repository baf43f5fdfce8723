#include "data/random_normal.h"

#include <cmath>

#include "core/philox.h"
#include "data/portable_math.h"

namespace sknet::data {

namespace {

uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

void random_normal(uint64_t seed, std::string_view stream, double std, std::span<float> out) {
  const uint64_t hash = fnv1a(stream);
  const auto low = static_cast<uint32_t>(hash), high = static_cast<uint32_t>(hash >> 32);
  for (size_t i = 0; i < out.size(); i += 4) {
    const Philox4 block = philox4x32(seed, static_cast<uint32_t>(i / 4), low, high, static_cast<uint32_t>(RandomPurpose::kInit));
    double normal[4];
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = std::sqrt(-2 * portable_log((block.v[pair] + 0.5) * 0x1p-32));
      const SinCos angle = portable_sincos(block.v[pair + 1] * 0x1p-32);
      normal[pair] = radius * angle.cos;
      normal[pair + 1] = radius * angle.sin;
    }
    for (size_t k = 0; k < 4 && i + k < out.size(); ++k) out[i + k] = static_cast<float>(normal[k] * std);
  }
}

}  // namespace sknet::data
