// What a plan takes of a device's memory, and what to say where that is too much.
#pragma once

#include <cstdint>

#include "plan/program.h"

namespace sknet::cuda {

constexpr int64_t kMemoryLine = 256;  // what parts of an allocation are aligned to
constexpr int64_t whole_memory_lines(int64_t bytes) { return (bytes + kMemoryLine - 1) / kMemoryLine * kMemoryLine; }

// Bytes. Behind the program's own: the update's control, rows read or written, and places of batches.
struct Footprint {
  explicit Footprint(const plan::Program& program);
  // Of a batch, in this order: labels, second labels and shares; the table and the pictures where it is of bytes; its bytes or floats.
  int64_t labels, pictures, images;
  int64_t input() const { return labels + pictures + images; }
  int64_t staging;
  int per_launch;  // steps of training
  int slots;       // batches in pinned memory of the host; whole launches
  int places;      // batches on the device: of several steps a launch one a slot
  int64_t total;
};

// After an allocation of `bytes` failed: ERR_SKNET_OOM with the batch or shard that would fit.
[[noreturn]] void throw_does_not_fit(const plan::PlanSpec& spec, int64_t bytes);

}  // namespace sknet::cuda
