// softmax_cross_entropy on the CPU: an image at a time, sums in float64.
#include "ops/softmax_cross_entropy.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

struct ImageTotals {
  double loss;
  float top1, top5;
};

size_t workspace(const SoftmaxCrossEntropyProblem& p) { return sizeof(ImageTotals) * static_cast<size_t>(p.n); }

ImageTotals one_image(const SoftmaxCrossEntropyProblem& p, const float* logits, int label, float* dlogits, float gradient_scale) {
  const int k = p.classes;
  if (label < 0) {
    if (dlogits != nullptr) zero_floats(dlogits, k);
    return {0, 0, 0};
  }
  float top = logits[0];
  for (int i = 1; i < k; ++i) top = logits[i] > top ? logits[i] : top;
  double sum = 0, mean = 0;
  int above = 0;  // classes ranked before the label; of equal logits the lower index comes first
  for (int i = 0; i < k; ++i) {
    sum += std::exp(static_cast<double>(logits[i]) - top);
    mean += logits[i];
    above += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
  }
  const double log_sum = std::log(sum) + top, e = p.label_smoothing;
  const double loss = log_sum - (1 - e) * logits[label] - e * mean / k;
  if (dlogits != nullptr) {
    for (int i = 0; i < k; ++i) {
      const double target = e / k + (i == label ? 1 - e : 0);
      dlogits[i] = static_cast<float>((std::exp(logits[i] - log_sum) - target) * gradient_scale);
    }
  }
  const bool finite = std::isfinite(loss);  // comparisons with NaN would count as a hit
  return {loss, finite && above < 1 ? 1.0f : 0.0f, finite && above < 5 ? 1.0f : 0.0f};
}

void run(const SoftmaxCrossEntropyProblem& p, const SoftmaxCrossEntropyArgs& a, const Exec& exec) {
  ImageTotals* images = reinterpret_cast<ImageTotals*>(exec.workspace);
  parallel_for(*exec.pool, p.n, [&](int64_t n, int) {
    images[n] =
        one_image(p, a.logits + n * p.classes, a.labels[n], a.dlogits == nullptr ? nullptr : a.dlogits + n * p.classes, a.gradient_scale);
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

const SoftmaxCrossEntropy softmax_cross_entropy_plain{"images", nullptr, workspace, nullptr, run};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
