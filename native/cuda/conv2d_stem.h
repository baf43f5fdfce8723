// conv2d's candidate "stem": the 7x7 convolution of stride 2 that reads the network's input, three float32 channels a pixel, in bfloat16.
// A window's rows are 21 numbers in a row of memory each, so a block keeps rows of the input in shared memory, converted once, and the
// products take their operands from there; the summed dimension is 7 rows of 21 numbers, padded to 24.
#pragma once

#include "cuda/chunk.h"
#include "ops/conv2d.h"

namespace sknet::cuda {

constexpr int kStemKernel = 7, kStemStride = 2, kStemChannels = 3;
constexpr int kStemApart = kStemStride * kStemChannels;  // numbers between the windows of neighbouring outputs
constexpr int kStemSpan = 24;                            // numbers of a window's row
constexpr int kStemWidest = 224;                         // of an output, whose rows must fit into shared memory

// Numbers of a row of the input in shared memory, for whole tiles of 16 outputs.
__host__ __device__ constexpr int stem_pitch(int ow) { return round_up(ow, 16) * kStemApart + kStemSpan; }

struct StemShape {
  int images, h, w, oh, ow, padding, out_channels;  // channels: in memory
};

inline StemShape stem_shape(const Conv2dProblem& p) { return {p.n, p.h, p.w, p.oh, p.ow, p.padding, padded(p.out)}; }

inline const char* refuse_stem(const Conv2dProblem& p) {
  if (!p.fusion.x_rows) return "not of the network's input";
  if (p.kernel != kStemKernel || p.stride != kStemStride || p.dilation != 1) return "not 7x7 with stride 2";
  if (p.c != kStemChannels || p.groups != 1) return "not three channels in one group";
  if (p.fusion.x_norm) return "the network's input is not read through a norm";
  if (p.fusion.statistics && p.fusion.y_norm) return "leaves statistics or applies a norm, not both";
  if (p.ow > kStemWidest) return "wider than 224 outputs";
  return nullptr;
}

// Number e of line h of an image, counted from the first window's; zero outside.
struct StemLine {
  const float* from;  // or null
  int first, size;
  __device__ __forceinline__ StemLine(const StemShape& s, const float* x, int image, int h)
      : from(static_cast<unsigned>(h) < static_cast<unsigned>(s.h) ? x + (static_cast<int64_t>(image) * s.h + h) * s.w * kStemChannels
                                                                   : nullptr),
        first(s.padding * kStemChannels),
        size(from == nullptr ? 0 : s.w * kStemChannels) {}
  __device__ __forceinline__ float operator()(int e) const {
    return static_cast<unsigned>(e - first) < static_cast<unsigned>(size) ? __ldg(from + e - first) : 0.0f;
  }
};

extern const Conv2dForward conv2d_forward_stem_bf16;
extern const Conv2dBackwardWeight conv2d_backward_weight_stem_bf16;

}  // namespace sknet::cuda
