// Softmax, cross-entropy with label smoothing (e / K over all K classes, DESIGN 3), its gradient, and the hits for top-1 and top-5.
// An image may have two labels, each with a share of the target. A label of -1 marks an image that counts nowhere.
#pragma once

#include <cstdint>

#include "ops/candidate.h"

namespace sknet {

struct SoftmaxCrossEntropyProblem {
  int n, classes;
  float label_smoothing;
};

struct SoftmaxCrossEntropyArgs {
  const void* logits;     // [n, classes], rows padded to whole blocks (layout.h)
  const int32_t* labels;  // [n]
  // Null, or [n]: the second label, and the first one's share; hits are those of the first.
  const int32_t* labels2;
  const float* mix;
  void* dlogits;         // the same or null; zeros in the padding: gradient of the loss summed over images, times gradient_scale
  float gradient_scale;  // 1 / images of the global batch
  float* totals;         // [3]: sum of the losses, hits in the first 1, hits in the first 5
};

using SoftmaxCrossEntropy = Candidate<SoftmaxCrossEntropyProblem, SoftmaxCrossEntropyArgs>;

}  // namespace sknet
