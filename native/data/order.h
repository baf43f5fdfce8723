// In which order an epoch visits the samples.
#pragma once

#include <cstdint>
#include <vector>

#include "data/source.h"

namespace sknet::data {

struct Sampling {
  uint64_t seed = 0;
  uint32_t epoch = 0;
  bool shuffle = false;
  // Every class as often as every other; needs shuffle.
  bool balanced = false;
};

// Chunks whose samples are visited together, from `position` on to the next window's.
struct ReadWindow {
  int64_t position;
  std::vector<int32_t> chunks;
};

struct EpochOrder {
  std::vector<int32_t> samples;
  // What the random numbers of a position are keyed by: the sample, unless the epoch visits it more than once. Empty: the samples.
  std::vector<uint32_t> keys;
  // Empty where the source has no chunks, or the order does not keep to them.
  std::vector<ReadWindow> windows;

  uint32_t key(int64_t position) const {
    const auto at = static_cast<size_t>(position);
    return keys.empty() ? static_cast<uint32_t>(samples[at]) : keys[at];
  }
};

// Depends on the source and the sampling only.
// - Not shuffled: 0..size-1.
// - Shuffled: a uniform permutation (Fisher-Yates). Of a source in chunks: its chunks are permuted and cut into windows of kWindowSamples
//   or the source's window_bytes(), whichever is reached first; the samples of a window are permuted. Of a stream: windows of so many as it
//   says, one after the other, the samples of each permuted.
// - Balanced: size samples, every class that occurs size / classes times (some of them, drawn anew each epoch, once more), its samples in
//   permutation after permutation; all of them permuted. Chunks are not kept together.
EpochOrder epoch_order(const Source& source, const Sampling& sampling);

inline constexpr int64_t kWindowSamples = 16384;

}  // namespace sknet::data
