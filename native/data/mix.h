// Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019) of two finished images and their labels.
#pragma once

#include <cstdint>

#include "data/transform.h"

namespace sknet::data {

// Strengths: the shares are drawn from Beta(strength, strength); 0: off. With both, each pair gets one of them, either as likely.
struct MixOptions {
  double mixup = 0, cutmix = 0;
  bool any() const { return mixup > 0 || cutmix > 0; }
};

// Mixes each of two images, [height, width, 3] floats, with the other and returns the share of its own that each keeps. Mixup: a = share a
// + (1 - share) b, and the same with a and b changed. CutMix: the images exchange a rectangle. `key` is that of the pair.
float mix_images(const MixOptions& options, const SampleKey& key, int height, int width, float* a, float* b);

}  // namespace sknet::data
