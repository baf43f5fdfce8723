// sk_attention, all in float64: products (product.h), between them the batch norm over images and the softmax over branches. Logits and
// their gradients are [n, M c] matrices.
#include <algorithm>

#include "cuda/chunk.h"
#include "cuda/kernels.h"
#include "cuda/product.h"
#include "ops/sk_attention.h"

namespace sknet::cuda {
namespace {

constexpr int kFeatures = 32, kImageLanes = 8;  // of a block: features side by side, each by lanes that share the images
constexpr int kNormLanes = kFeatures * kImageLanes;

// The sum over the image lanes of the caller's feature, in order.
__device__ __forceinline__ double over_images(double v, double (&sums)[kImageLanes][kFeatures]) {
  const int t = static_cast<int>(threadIdx.x);
  sums[t / kFeatures][t % kFeatures] = v;
  __syncthreads();
  double all = 0;
  for (int i = 0; i < kImageLanes; ++i) all += sums[i][t % kFeatures];
  __syncthreads();
  return all;
}

struct Feature {
  double mean, variance, invstd;
};

// Of a feature over the images, r at n * d.
__device__ __forceinline__ Feature feature_of(const SkAttentionProblem& p, const double* r, double (&sums)[kImageLanes][kFeatures]) {
  const int first = static_cast<int>(threadIdx.x) / kFeatures;
  double sum = 0, squares = 0;
  for (int n = first; r != nullptr && n < p.n; n += kImageLanes) sum += r[static_cast<int64_t>(n) * p.d];
  const double mean = over_images(sum, sums) / p.n;
  for (int n = first; r != nullptr && n < p.n; n += kImageLanes) {
    const double delta = r[static_cast<int64_t>(n) * p.d] - mean;
    squares += delta * delta;
  }
  const double variance = over_images(squares, sums) / p.n;
  return {mean, variance, 1.0 / sqrt(variance + p.eps)};
}

// The parts of a cut product, added up in order: element `at` of [parts][n, d].
__device__ __forceinline__ double add_parts(const double* parts, int count, int64_t size, int64_t at) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i * size + at];
  return sum;
}

__global__ void __launch_bounds__(kNormLanes) normalise(SkAttentionProblem p, SkAttentionForwardArgs a, const double* parts, int count) {
  SIMT_SHARED(double[kImageLanes][kFeatures], sums);
  const int j = static_cast<int>(blockIdx.x) * kFeatures + static_cast<int>(threadIdx.x) % kFeatures;
  const int first = static_cast<int>(threadIdx.x) / kFeatures;
  const int64_t size = static_cast<int64_t>(p.n) * p.d;
  const bool real = j < p.d;
  for (int n = first; real && n < p.n; n += kImageLanes) {
    const int64_t at = static_cast<int64_t>(n) * p.d + j;
    a.reduced[at] = add_parts(parts, count, size, at);
  }
  Feature f{};
  if (a.running_mean == nullptr) {
    f = feature_of(p, real ? a.reduced + j : nullptr, sums);  // each lane reads what it wrote
    if (real && first == 0) {
      a.batch_mean[j] = static_cast<float>(f.mean);
      a.batch_var[j] = static_cast<float>(f.variance * p.n / (p.n - 1));
    }
  } else if (real) {
    f = {a.running_mean[j], a.running_var[j], 1.0 / sqrt(static_cast<double>(a.running_var[j]) + p.eps)};
  }
  for (int n = first; real && n < p.n; n += kImageLanes) {
    const int64_t at = static_cast<int64_t>(n) * p.d + j;
    const double z = a.gamma[j] * ((a.reduced[at] - f.mean) * f.invstd) + a.beta[j];
    a.normed[at] = 0 > z ? 0 : z;  // a NaN stays one
  }
}

constexpr int kLanes = 256;

// attention[m, n, c] = softmax over m of logits[n, m c]; a lane has a channel of an image, padding included.
__global__ void __launch_bounds__(kLanes) softmax(SkAttentionProblem p, const double* logits, float* attention, int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x, stride = static_cast<int64_t>(p.n) * channels;
  if (i >= stride) return;
  const int c = static_cast<int>(i % channels);
  const double* z = logits + i / channels * p.branches * p.c + c;
  double top = -INFINITY, e[kMaxBranches], sum = 0;
#pragma unroll
  for (int m = 0; m < kMaxBranches; ++m) {
    e[m] = m < p.branches && c < p.c ? z[static_cast<int64_t>(m) * p.c] : 0;
    if (m < p.branches) top = e[m] > top ? e[m] : top;
  }
#pragma unroll
  for (int m = 0; m < kMaxBranches; ++m) {
    if (m < p.branches) sum += e[m] = e[m] == top ? 1 : exp(e[m] - top);
  }
#pragma unroll
  for (int m = 0; m < kMaxBranches; ++m) {
    if (m < p.branches) attention[m * stride + i] = c < p.c ? static_cast<float>(e[m] / sum) : 0.0f;
  }
}

size_t bytes(int64_t doubles) { return sizeof(double) * static_cast<size_t>(doubles); }
int64_t logit_count(const SkAttentionProblem& p) { return static_cast<int64_t>(p.n) * p.branches * p.c; }
int64_t feature_count(const SkAttentionProblem& p) { return static_cast<int64_t>(p.n) * p.d; }

// The parts of r, later the logits.
size_t forward_workspace(const SkAttentionProblem& p) { return bytes(std::max(parts_of(p.c) * feature_count(p), logit_count(p))); }

void forward(const SkAttentionProblem& p, const SkAttentionForwardArgs& a, const Exec& exec) {
  double* memory = reinterpret_cast<double*>(exec.workspace);
  const int channels = padded(p.c), logits = p.branches * p.c;
  launch_product(Matrix<double>{a.s, channels, 1}, Matrix<float>{a.reduce, p.c, 1}, Product<double>{memory, p.d, feature_count(p)}, p.n,
                 p.d, p.c, true, exec.stream);
  SIMT_LAUNCH(normalise, ceil_div(p.d, kFeatures), kNormLanes, 0, exec.stream, p, a, memory, parts_of(p.c));
  launch_product(Matrix<double>{a.normed, p.d, 1}, Matrix<float>{a.select, p.d, 1}, Product<double>{memory, logits, 0}, p.n, logits, p.d,
                 false, exec.stream);
  SIMT_LAUNCH(softmax, ceil_div(p.n * channels, kLanes), kLanes, 0, exec.stream, p, memory, a.attention, channels);
}

// dlogit_m = a_m (da_m - sum_k a_k da_k), da_m = sum of dv U_m. Zeros the padding of ds.
__global__ void __launch_bounds__(kLanes) logit_gradients(SkAttentionProblem p, SkAttentionBackwardArgs a, double* dlogits, int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x, stride = static_cast<int64_t>(p.n) * channels;
  if (i >= stride) return;
  const int c = static_cast<int>(i % channels);
  if (c >= p.c) {
    a.ds[i] = 0;
    return;
  }
  double weight[kMaxBranches], da[kMaxBranches], dot = 0;
#pragma unroll
  for (int m = 0; m < kMaxBranches; ++m) {
    if (m >= p.branches) continue;
    weight[m] = a.attention[m * stride + i];
    da[m] =
        static_cast<double>(a.scale[m][c]) * a.dv_mask_u[m * stride + i] + static_cast<double>(a.shift[m][c]) * a.dv_mask[m * stride + i];
    dot += weight[m] * da[m];
  }
  double* out = dlogits + i / channels * p.branches * p.c + c;
#pragma unroll
  for (int m = 0; m < kMaxBranches; ++m) {
    if (m < p.branches) out[static_cast<int64_t>(m) * p.c] = weight[m] * (da[m] - dot);
  }
}

// From the parts of dq to dr, dgamma and dbeta.
__global__ void __launch_bounds__(kNormLanes)
    normalise_backward(SkAttentionProblem p, SkAttentionBackwardArgs a, const double* parts, int count, double* dr) {
  SIMT_SHARED(double[kImageLanes][kFeatures], sums);
  const int j = static_cast<int>(blockIdx.x) * kFeatures + static_cast<int>(threadIdx.x) % kFeatures;
  const int first = static_cast<int>(threadIdx.x) / kFeatures;
  const int64_t size = static_cast<int64_t>(p.n) * p.d;
  const bool real = j < p.d;
  const Feature f = feature_of(p, real ? a.reduced + j : nullptr, sums);
  double sum = 0, dot = 0;
  for (int n = first; real && n < p.n; n += kImageLanes) {
    const int64_t at = static_cast<int64_t>(n) * p.d + j;
    const double dz = a.normed[at] > 0 ? add_parts(parts, count, size, at) : 0;
    dr[at] = dz;
    sum += dz;
    dot += dz * (a.reduced[at] - f.mean) * f.invstd;
  }
  sum = over_images(sum, sums);
  dot = over_images(dot, sums);
  if (!real) return;
  if (first == 0) {
    a.dbeta[j] = static_cast<float>(sum);
    a.dgamma[j] = static_cast<float>(dot);
  }
  for (int n = first; n < p.n; n += kImageLanes) {
    const int64_t at = static_cast<int64_t>(n) * p.d + j;
    dr[at] = a.gamma[j] * f.invstd * (dr[at] - (sum + (a.reduced[at] - f.mean) * f.invstd * dot) / p.n);
  }
}

// dlogits, then dr, then the parts of dq.
size_t backward_workspace(const SkAttentionProblem& p) {
  return bytes(logit_count(p) + (1 + parts_of(p.branches * p.c)) * feature_count(p));
}

void backward(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Exec& exec) {
  double* dlogits = reinterpret_cast<double*>(exec.workspace);
  double* dr = dlogits + logit_count(p);
  double* parts = dr + feature_count(p);
  const int channels = padded(p.c), logits = p.branches * p.c;
  SIMT_LAUNCH(logit_gradients, ceil_div(p.n * channels, kLanes), kLanes, 0, exec.stream, p, a, dlogits, channels);
  launch_product(Matrix<double>{dlogits, 1, logits}, Matrix<double>{a.normed, 1, p.d}, Product<float>{a.dselect, p.d, 0}, logits, p.d, p.n,
                 false, exec.stream);
  launch_product(Matrix<double>{dlogits, logits, 1}, Matrix<float>{a.select, 1, p.d}, Product<double>{parts, p.d, feature_count(p)}, p.n,
                 p.d, logits, true, exec.stream);
  SIMT_LAUNCH(normalise_backward, ceil_div(p.d, kFeatures), kNormLanes, 0, exec.stream, p, a, parts, parts_of(logits), dr);
  launch_product(Matrix<double>{dr, 1, p.d}, Matrix<double>{a.s, 1, channels}, Product<float>{a.dreduce, p.c, 0}, p.d, p.c, p.n, false,
                 exec.stream);
  launch_product(Matrix<double>{dr, p.d, 1}, Matrix<float>{a.reduce, 1, p.c}, Product<double>{a.ds, channels, 0}, p.n, p.c, p.d, false,
                 exec.stream);
}

}  // namespace

const SkAttentionForward sk_attention_forward_products{"float64", nullptr, forward_workspace, nullptr, forward};
const SkAttentionBackward sk_attention_backward_products{"float64", nullptr, backward_workspace, nullptr, backward};

}  // namespace sknet::cuda
