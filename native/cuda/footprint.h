// What a plan takes of a device's memory, and what to say where that is too much.
#pragma once

#include <cstdint>

#include "plan/program.h"

namespace sknet::cuda {

constexpr int64_t kMemoryLine = 256;  // what parts of an allocation are aligned to
constexpr int64_t whole_memory_lines(int64_t bytes) { return (bytes + kMemoryLine - 1) / kMemoryLine * kMemoryLine; }

// Bytes. Behind the program's own: the update's control, rows read or written, and slots of images and labels.
struct Footprint {
  explicit Footprint(const plan::Program& program);
  int64_t images, labels;  // of a slot; labels, second labels and shares
  int64_t staging;
  int slots;
  int64_t total;
};

// After an allocation of `bytes` failed: ERR_SKNET_OOM with the batch or shard that would fit.
[[noreturn]] void throw_does_not_fit(const plan::PlanSpec& spec, int64_t bytes);

}  // namespace sknet::cuda
