// softmax_cross_entropy on CUDA: a block an image, sums in float64, then one lane over the images.
#include "cuda/channel_sums.h"
#include "cuda/loss_images.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {
namespace {

struct ImageTotals {
  double loss;
  float top1, top5;
};

size_t workspace(const SoftmaxCrossEntropyProblem& p) { return sizeof(ImageTotals) * static_cast<size_t>(p.n); }

// What an image is: all of one class, or a share of it and the rest of another.
struct Target {
  int label, label2;
  double share;
};

// The largest of all lanes' `v`, for all lanes. NaN is passed on by the sums.
__device__ __forceinline__ double block_max(double v, double* shared) {
  const int lane = static_cast<int>(threadIdx.x);
  __syncthreads();
  shared[lane] = v;
  __syncthreads();
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    if (lane < half && shared[lane + half] > shared[lane]) shared[lane] = shared[lane + half];
    __syncthreads();
  }
  return shared[0];
}

template <class Elem>
__global__ void one_image(SoftmaxCrossEntropyProblem p, SoftmaxCrossEntropyArgs a, ImageTotals* images) {
  SIMT_SHARED(double[kSumLanes], shared);
  const int n = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x), row = padded_channels(p.classes, kRows);
  const Elem* z = static_cast<const Elem*>(a.logits) + static_cast<int64_t>(n) * row;
  Elem* dz = a.dlogits == nullptr ? nullptr : static_cast<Elem*>(a.dlogits) + static_cast<int64_t>(n) * row;
  const int label = a.labels[n];
  const Target target = a.mix == nullptr ? Target{label, label, 1} : Target{label, a.labels2[n], a.mix[n]};
  if (label < 0) {  // the whole block
    for (int i = lane; dz != nullptr && i < row; i += kSumLanes) put(dz + i, 0.0f);
    if (lane == 0) images[n] = {0, 0, 0};
    return;
  }
  const float of_label = to_f(z[label]);
  double top = to_f(z[0]);
  for (int i = lane; i < p.classes; i += kSumLanes) top = to_f(z[i]) > top ? to_f(z[i]) : top;
  top = block_max(top, shared);
  double sum = 0, mean = 0, above = 0;  // above: ranked before the label; of equal logits the lower index comes first
  for (int i = lane; i < p.classes; i += kSumLanes) {
    const float v = to_f(z[i]);
    sum += exp(v - top);
    mean += v;
    above += v > of_label || (v == of_label && i < label) ? 1 : 0;
  }
  sum = block_sum(sum, shared);
  mean = block_sum(mean, shared);
  above = block_sum(above, shared);
  const double log_sum = log(sum) + top, e = p.label_smoothing;
  const double first = (1 - e) * target.share, second = (1 - e) * (1 - target.share);
  // Not even 0 times the logit, which may be infinite.
  const double of_label2 = second > 0 ? to_f(z[target.label2]) : 0;
  for (int i = lane; dz != nullptr && i < row; i += kSumLanes) {
    const double wanted = e / p.classes + (i == label ? first : 0) + (i == target.label2 ? second : 0);
    put(dz + i, i < p.classes ? static_cast<float>((exp(to_f(z[i]) - log_sum) - wanted) * a.gradient_scale) : 0.0f);
  }
  if (lane != 0) return;
  const double loss = log_sum - first * of_label - second * of_label2 - e * mean / p.classes;
  const bool finite = loss - loss == 0;  // comparisons with NaN would count as a hit
  images[n] = {loss, finite && above < 1 ? 1.0f : 0.0f, finite && above < 5 ? 1.0f : 0.0f};
}

__global__ void sum_images(int n, const ImageTotals* images, float* totals) {
  double loss = 0;
  float top1 = 0, top5 = 0;
  for (int i = 0; i < n; ++i) {
    loss += images[i].loss;
    top1 += images[i].top1;
    top5 += images[i].top5;
  }
  totals[0] = static_cast<float>(loss);
  totals[1] = top1;
  totals[2] = top5;
}

template <class Elem>
void run(const SoftmaxCrossEntropyProblem& p, const SoftmaxCrossEntropyArgs& a, const Exec& exec) {
  ImageTotals* images = reinterpret_cast<ImageTotals*>(exec.workspace);
  SIMT_LAUNCH(one_image<Elem>, static_cast<unsigned>(p.n), kSumLanes, 0, exec.stream, p, a, images);
  SIMT_LAUNCH(sum_images, 1, 1, 0, exec.stream, p.n, images, a.totals);
}

}  // namespace

const SoftmaxCrossEntropy softmax_cross_entropy_images_fp32{"images", nullptr, workspace, nullptr, run<float>};
const SoftmaxCrossEntropy softmax_cross_entropy_images_bf16{"images", nullptr, workspace, nullptr, run<bf16>};

}  // namespace sknet::cuda
