// sk_attention, all in float64: products (product.h), the batch norm over images between them, the softmax over branches behind the second.
// The gradients of the logits are an [n, M c] matrix.
#include "cuda/branches.h"
#include "cuda/kernels.h"
#include "cuda/product.h"
#include "ops/sk_attention.h"

namespace sknet::cuda {
namespace {

constexpr int kFeatures = 4, kNormLanes = 256;  // of a block: features side by side, 32 bytes, each by lanes that share the images
constexpr int kImageLanes = kNormLanes / kFeatures, kNormWarps = kNormLanes / 32;
constexpr int kAtOnce = 4;  // images that a lane reads before it writes the first

// The calling lane's feature, and the matrices [n, d] around it.
struct FeatureLane {
  int images, d, j, first;
  __device__ __forceinline__ explicit FeatureLane(const SkAttentionProblem& p)
      : images(p.n),
        d(p.d),
        j(static_cast<int>(blockIdx.x) * kFeatures + static_cast<int>(threadIdx.x) % kFeatures),
        first(static_cast<int>(threadIdx.x) / kFeatures) {}
  __device__ __forceinline__ bool real() const { return j < d; }
  // use(at, read(at)) for the lane's images.
  template <class Read, class Use>
  __device__ __forceinline__ void each(const Read& read, const Use& use) const {
    for (int n0 = real() ? first : images; n0 < images; n0 += kAtOnce * kImageLanes) {
      decltype(read(int64_t{0})) v[kAtOnce] = {};
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (n0 + i * kImageLanes < images) v[i] = read(static_cast<int64_t>(n0 + i * kImageLanes) * d + j);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (n0 + i * kImageLanes < images) use(static_cast<int64_t>(n0 + i * kImageLanes) * d + j, v[i]);
      }
    }
  }
};

// The sum over the image lanes of the caller's feature, in a fixed order.
__device__ __forceinline__ double over_images(double v, double (&sums)[kNormWarps][kFeatures]) {
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int apart = kFeatures; apart < 32; apart *= 2) v += __shfl_xor_sync(~0u, v, apart);
  if (t % 32 < kFeatures) sums[t / 32][t % 32] = v;
  __syncthreads();
  double all = 0;
#pragma unroll
  for (int w = 0; w < kNormWarps; ++w) all += sums[w][t % kFeatures];
  __syncthreads();
  return all;
}

// A product that was cut: element `at` of [parts][n, d], the parts added up in order, four fetched at once.
struct Parts {
  const double* p;
  int count;
  int64_t size;
  __device__ __forceinline__ double operator()(int64_t at) const {
    double sum = 0;
    for (int i = 0; i < count; i += 4) {
      double v[4];
#pragma unroll
      for (int q = 0; q < 4; ++q) v[q] = i + q < count ? __ldg(p + (i + q) * size + at) : 0;
      sum += v[0];
      sum += v[1];
      sum += v[2];
      sum += v[3];
    }
    return sum;
  }
};

__global__ void __launch_bounds__(kNormLanes) normalise(SkAttentionProblem p, SkAttentionForwardArgs a, Parts parts) {
  SIMT_SHARED(double[kNormWarps][kFeatures], sums);
  const FeatureLane lane(p);
  const auto reduced = [&](int64_t at) { return a.reduced[at]; };  // what the lane wrote
  double sum = 0;
  lane.each(parts, [&](int64_t at, double r) {
    a.reduced[at] = r;
    sum += r;
  });
  double mean = 0, invstd = 0;
  if (a.running_mean == nullptr) {
    mean = over_images(sum, sums) / p.n;
    double squares = 0;
    lane.each(reduced, [&](int64_t, double r) { squares += (r - mean) * (r - mean); });
    const double variance = over_images(squares, sums) / p.n;
    invstd = 1.0 / sqrt(variance + p.eps);
    if (lane.real() && lane.first == 0) {
      a.batch_mean[lane.j] = static_cast<float>(mean);
      a.batch_var[lane.j] = static_cast<float>(variance * p.n / (p.n - 1));
    }
  } else if (lane.real()) {
    mean = a.running_mean[lane.j];
    invstd = 1.0 / sqrt(static_cast<double>(a.running_var[lane.j]) + p.eps);
  }
  if (!lane.real()) return;
  const double gamma = a.gamma[lane.j], beta = a.beta[lane.j];
  lane.each(reduced, [&](int64_t at, double r) {
    const double z = gamma * ((r - mean) * invstd) + beta;
    a.normed[at] = 0 > z ? 0 : z;  // a NaN stays one
  });
}

// attention[m, n, c] = softmax over m of the logits q select; a lane has a channel of an image, padding included.
template <int kBranches>
__global__ void __launch_bounds__(kProductLanes, kBranches > 2 ? 2 : 3)
    select_softmax(SkAttentionProblem p, SkAttentionForwardArgs a, int channels) {
  SIMT_SHARED(ProductShared, shared);
  const int row0 = static_cast<int>(blockIdx.y) * kProductTile, col0 = static_cast<int>(blockIdx.x) * kProductTile;
  double e[kBranches], top = -INFINITY, sum = 0;
#pragma unroll
  for (int m = 0; m < kBranches; ++m) {
    const Matrix<float> select{a.select + static_cast<int64_t>(m) * p.c * p.d, p.d, 1};
    e[m] = product_tile(Matrix<double>{a.normed, p.d, 1}, select, row0, p.n, col0, p.c, 0, p.d, shared);
    top = e[m] > top ? e[m] : top;
  }
  const int image = row0 + static_cast<int>(threadIdx.x) / kProductTile, c = col0 + static_cast<int>(threadIdx.x) % kProductTile;
  if (image >= p.n || c >= channels) return;
#pragma unroll
  for (int m = 0; m < kBranches; ++m) sum += e[m] = e[m] == top ? 1 : exp(e[m] - top);
#pragma unroll
  for (int m = 0; m < kBranches; ++m) {
    a.attention[(static_cast<int64_t>(m) * p.n + image) * channels + c] = c < p.c ? static_cast<float>(e[m] / sum) : 0.0f;
  }
}

size_t bytes(int64_t doubles) { return sizeof(double) * static_cast<size_t>(doubles); }
int64_t feature_count(const SkAttentionProblem& p) { return static_cast<int64_t>(p.n) * p.d; }

// The parts of r.
size_t forward_workspace(const SkAttentionProblem& p) { return bytes(parts_of(p.c) * feature_count(p)); }

void forward(const SkAttentionProblem& p, const SkAttentionForwardArgs& a, const Exec& exec) {
  double* memory = reinterpret_cast<double*>(exec.workspace);
  const int channels = padded(p.c);
  launch_product(
      Product<double, float, double>{{a.s, channels, 1}, {a.reduce, p.c, 1}, memory, p.d, feature_count(p), p.n, p.d, p.c, kPartDepth},
      exec.stream);
  SIMT_LAUNCH(normalise, ceil_div(p.d, kFeatures), kNormLanes, 0, exec.stream, p, a, Parts{memory, parts_of(p.c), feature_count(p)});
  const dim3 grid(static_cast<unsigned>(ceil_div(channels, kProductTile)), static_cast<unsigned>(ceil_div(p.n, kProductTile)));
  with_branches(p.branches,
                [&]<int kBranches>() { SIMT_LAUNCH(select_softmax<kBranches>, grid, kProductLanes, 0, exec.stream, p, a, channels); });
}

constexpr int kLanes = 256;

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
__global__ void __launch_bounds__(kNormLanes) normalise_backward(SkAttentionProblem p, SkAttentionBackwardArgs a, Parts parts, double* dr) {
  SIMT_SHARED(double[kNormWarps][kFeatures], sums);
  struct Pair {
    double r, dz;
  };
  const FeatureLane lane(p);
  double mean = 0, sum = 0;
  lane.each([&](int64_t at) { return Pair{a.reduced[at], a.normed[at] > 0 ? parts(at) : 0}; },
            [&](int64_t at, const Pair& v) {
              dr[at] = v.dz;
              mean += v.r;
              sum += v.dz;
            });
  mean = over_images(mean, sums) / p.n;
  sum = over_images(sum, sums);
  const auto both = [&](int64_t at) { return Pair{a.reduced[at], dr[at]}; };
  double squares = 0, dot = 0;
  lane.each(both, [&](int64_t, const Pair& v) {
    squares += (v.r - mean) * (v.r - mean);
    dot += v.dz * (v.r - mean);
  });
  const double invstd = 1.0 / sqrt(over_images(squares, sums) / p.n + p.eps);
  dot = over_images(dot, sums) * invstd;
  if (!lane.real()) return;
  if (lane.first == 0) {
    a.dbeta[lane.j] = static_cast<float>(sum);
    a.dgamma[lane.j] = static_cast<float>(dot);
  }
  const double gain = a.gamma[lane.j] * invstd, of_sum = sum / p.n, of_dot = dot * invstd / p.n;
  lane.each(both, [&](int64_t at, const Pair& v) { dr[at] = gain * (v.dz - of_sum - (v.r - mean) * of_dot); });
}

int64_t logit_count(const SkAttentionProblem& p) { return static_cast<int64_t>(p.n) * p.branches * p.c; }

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
  launch_products(
      Product<double, double, float>{{dlogits, 1, logits}, {a.normed, 1, p.d}, a.dselect, p.d, 0, logits, p.d, p.n, p.n},
      Product<double, float, double>{{dlogits, logits, 1}, {a.select, 1, p.d}, parts, p.d, feature_count(p), p.n, p.d, logits, kPartDepth},
      exec.stream);
  SIMT_LAUNCH(normalise_backward, ceil_div(p.d, kFeatures), kNormLanes, 0, exec.stream, p, a,
              Parts{parts, parts_of(logits), feature_count(p)}, dr);
  launch_products(Product<double, double, float>{{dr, 1, p.d}, {a.s, 1, channels}, a.dreduce, p.c, 0, p.d, p.c, p.n, p.n},
                  Product<double, float, double>{{dr, p.d, 1}, {a.reduce, 1, p.c}, a.ds, channels, 0, p.n, p.c, p.d, p.d}, exec.stream);
}

}  // namespace

const SkAttentionForward sk_attention_forward_products{"float64", nullptr, forward_workspace, nullptr, forward};
const SkAttentionBackward sk_attention_backward_products{"float64", nullptr, backward_workspace, nullptr, backward};

}  // namespace sknet::cuda
