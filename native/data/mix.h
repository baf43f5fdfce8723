// Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019) of two finished images and their labels.
#pragma once

#include <cstdint>

#include "core/picture.h"
#include "data/transform.h"

namespace sknet::data {

// Strengths: the shares are drawn from Beta(strength, strength); 0: off. With both, each pair gets one of them, either as likely.
struct MixOptions {
  double mixup = 0, cutmix = 0;
  bool any() const { return mixup > 0 || cutmix > 0; }
};

// How two images are mixed with each other. Mixup: a = share a + (1 - share) b, and the same with a and b changed. CutMix: they exchange
// the rectangle, which may be empty, and `share` is what is left of each.
struct Mix {
  bool cutmix;
  float share;
  int left, top, right, bottom;  // the ends are outside
};

// `key` is that of the pair.
Mix draw_mix(const MixOptions& options, const SampleKey& key, int height, int width);

// Mixes two images of [height, width, 3] floats.
void mix_images(const Mix& mix, int height, int width, float* a, float* b);

// Leaves it to be done with two neighbours of a batch of bytes.
void mix_pictures(const Mix& mix, Picture& a, Picture& b);

}  // namespace sknet::data
