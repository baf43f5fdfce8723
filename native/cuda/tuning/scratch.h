// Lays operands out in a piece of the device's memory one behind the other; without memory it only counts.
#pragma once

#include <cstdint>

#include "cuda/footprint.h"
#include "ops/layout.h"

namespace sknet::cuda {

class Scratch {
 public:
  Scratch(char* memory, int elem_bytes) : memory_(memory), elem_bytes_(elem_bytes) {}

  int64_t used() const { return used_; }
  char* take(int64_t bytes) {
    const int64_t at = used_;
    used_ += whole_memory_lines(bytes);
    return memory_ == nullptr ? nullptr : memory_ + at;
  }
  float* floats(int64_t count) { return reinterpret_cast<float*>(take(count * static_cast<int64_t>(sizeof(float)))); }
  double* doubles(int64_t count) { return reinterpret_cast<double*>(take(count * static_cast<int64_t>(sizeof(double)))); }
  // One number a channel, as a plan's are padded.
  float* channels(int c) { return floats((c + kChannelPadding - 1) / kChannelPadding * kChannelPadding); }
  void* activation(int64_t rows, int c) { return take(rows * padded_channels(c, kRows) * elem_bytes_); }

 private:
  static constexpr int kChannelPadding = 16;
  char* memory_;
  int elem_bytes_;
  int64_t used_ = 0;
};

}  // namespace sknet::cuda
