// softmax_cross_entropy on the CPU: an image at a time, sums in float64.
#include "ops/softmax_cross_entropy.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

struct ImageTotals {
  double loss;
  float top1, top5;
};

size_t workspace(const SoftmaxCrossEntropyProblem& p) { return sizeof(ImageTotals) * static_cast<size_t>(p.n); }

size_t scratch(const SoftmaxCrossEntropyProblem& p) { return sizeof(float) * static_cast<size_t>(padded_channels(p.classes, kLanes)); }

// What an image is: all of one class, or a share of it and the rest of another.
struct Target {
  int label, label2;
  double share;
};

// z: the image's logits, replaced by their gradient; what lies behind the classes is zeroed.
ImageTotals one_image(const SoftmaxCrossEntropyProblem& p, float* z, const Target& target, float gradient_scale) {
  const int k = p.classes, label = target.label;
  if (label < 0) {
    zero_floats(z, padded_channels(k, kLanes));
    return {0, 0, 0};
  }
  float top = z[0];
  for (int i = 1; i < k; ++i) top = z[i] > top ? z[i] : top;
  double sum = 0, mean = 0;
  int above = 0;  // classes ranked before the label; of equal logits the lower index comes first
  for (int i = 0; i < k; ++i) {
    sum += std::exp(static_cast<double>(z[i]) - top);
    mean += z[i];
    above += z[i] > z[label] || (z[i] == z[label] && i < label);
  }
  const double log_sum = std::log(sum) + top, e = p.label_smoothing;
  const double first = (1 - e) * target.share, second = (1 - e) * (1 - target.share);
  // Not even 0 times the logit, which may be infinite.
  const double loss = log_sum - first * z[label] - (second > 0 ? second * z[target.label2] : 0) - e * mean / k;
  for (int i = 0; i < k; ++i) {
    const double wanted = e / k + (i == label ? first : 0) + (i == target.label2 ? second : 0);
    z[i] = static_cast<float>((std::exp(z[i] - log_sum) - wanted) * gradient_scale);
  }
  for (int i = k; i < padded_channels(k, kLanes); ++i) z[i] = 0;
  const bool finite = std::isfinite(loss);  // comparisons with NaN would count as a hit
  return {loss, finite && above < 1 ? 1.0f : 0.0f, finite && above < 5 ? 1.0f : 0.0f};
}

void run(const SoftmaxCrossEntropyProblem& p, const SoftmaxCrossEntropyArgs& a, const Exec& exec) {
  ImageTotals* images = reinterpret_cast<ImageTotals*>(exec.workspace);
  const int row = padded_channels(p.classes, kLanes);
  parallel_for(*exec.pool, p.n, [&](int64_t n, int thread) {
    float* z = reinterpret_cast<float*>(exec.scratch + static_cast<size_t>(thread) * exec.scratch_stride);
    const Elem* logits = static_cast<const Elem*>(a.logits) + n * row;
    for (int i = 0; i < row; i += kLanes) store(z + i, load(logits + i));
    const int label = a.labels[n];
    const Target target = a.mix == nullptr ? Target{label, label, 1} : Target{label, a.labels2[n], a.mix[n]};
    images[n] = one_image(p, z, target, a.gradient_scale);
    if (a.dlogits == nullptr) return;
    Elem* dlogits = static_cast<Elem*>(a.dlogits) + n * row;
    for (int i = 0; i < row; i += kLanes) store(dlogits + i, load(z + i));
  });
  ImageTotals total{0, 0, 0};
  for (int n = 0; n < p.n; ++n) {
    total.loss += images[n].loss;
    total.top1 += images[n].top1;
    total.top5 += images[n].top5;
  }
  a.totals[0] = static_cast<float>(total.loss);
  a.totals[1] = total.top1;
  a.totals[2] = total.top5;
}

}  // namespace

namespace SKNET_ISA {

const SoftmaxCrossEntropy softmax_cross_entropy_plain{"images", nullptr, workspace, scratch, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
