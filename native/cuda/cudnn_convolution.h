// Convolutions by cuDNN, T2 of the candidates: its plans for a problem, that is what its heuristics name (mode A, then fallback), it then
// supports, and that give the same bits each time and sums in float32. Asked for once a device and process.
#pragma once

#include <compare>
#include <cstddef>

#include "core/exec.h"

namespace sknet::cuda {

enum class Direction { kForward, kBackwardData, kBackwardWeight };

// Activations are NHWC without padding, weights [out][kernel][kernel][c / groups]. With bf16 all are bfloat16, but a weight's gradient.
struct Convolution {
  Direction direction;
  bool bf16;
  int n, h, w, c, out, oh, ow, kernel, stride, padding, dilation, groups;
  auto operator<=>(const Convolution&) const = default;
};

constexpr int kMostPlans = 8;  // of a problem, in the order of the heuristics

// Why there is no plan of this number on the calling thread's device; null where there is, empty where there are others before it.
const char* cudnn_refused(const Convolution& convolution, int plan);
// Bytes, of one that there is.
size_t cudnn_workspace(const Convolution& convolution, int plan);
// Writes y, x or weight, by direction, from the other two. Throws Error ERR_SKNET_DEVICE with cuDNN's own words.
void cudnn_convolve(const Convolution& convolution, int plan, const void* x, const void* weight, const void* y, char* workspace,
                    void* stream);

}  // namespace sknet::cuda
