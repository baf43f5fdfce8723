// How activations lie in memory: [n][ceil(c / block)][h * w][block]. `block` is the op table's (the vector of a CPU's instruction set),
// so that one pixel's block of channels is one vector and an image's block of channels is one run of memory. Lanes beyond c are finite and
// meet nothing but zero weights; ops that reduce over channels skip them. Where `block` is kRows (CUDA) all channels of a pixel lie
// together: [n][h * w][C], with C = c padded to whole vectors of 8. An [n, c] matrix is the same with h * w = 1: rows padded to whole
// blocks. Vectors of one number a channel are padded to whole blocks too; those among the parameters are followed by zeros up to a multiple
// of 16 (plan/graph.cc).
#pragma once

#include <cstdint>

namespace sknet {

// What activations are stored as; sums, statistics, weights and losses are float32 or wider in both.
enum class Precision { kFp32, kBf16 };

constexpr int kRows = 0;
constexpr int kRowVector = 8;  // 16 bytes of bfloat16

constexpr int blocks_in(int channels, int block) { return (channels + block - 1) / block; }
constexpr int padded_channels(int channels, int block) {
  return block == kRows ? blocks_in(channels, kRowVector) * kRowVector : blocks_in(channels, block) * block;
}

}  // namespace sknet
