// sk_attention on the CPU, in float64. Forward: reduce by (image tile, row chunk), batch norm at once, select by (image tile, channel
// chunk) with the softmax. Backward: two passes over channel chunks, the batch norm between them.
#include "ops/sk_attention.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

constexpr int kHalf = kLanes / 2;  // float64 a vector
constexpr int kImages = 4;         // a tile
constexpr int kRows = 8;           // of W_reduce a piece of work
constexpr int kMostChunk = 64;     // channels a piece of work

WideVec load_wide(const double* p) {
  WideVec v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
void store_wide(double* p, WideVec v) { __builtin_memcpy(p, &v, sizeof(v)); }

// The first n of kHalf, zeros beyond.
WideVec widen(const float* p, int n) {
  HalfVec v{};
  if (n >= kHalf) {
    __builtin_memcpy(&v, p, sizeof(v));
  } else {
    for (int i = 0; i < n; ++i) v[i] = p[i];
  }
  return __builtin_convertvector(v, WideVec);
}
WideVec load_wide_part(const double* p, int n) {
  if (n >= kHalf) return load_wide(p);
  WideVec v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
void narrow_part(float* p, WideVec v, int n) {
  const HalfVec narrow = __builtin_convertvector(v, HalfVec);
  if (n >= kHalf) {
    __builtin_memcpy(p, &narrow, sizeof(narrow));
  } else {
    for (int i = 0; i < n; ++i) p[i] = narrow[i];
  }
}

double sum_of(WideVec v) {
  using Quarter = double __attribute__((vector_size(kHalf / 2 * sizeof(double))));
  Quarter half[2];
  __builtin_memcpy(half, &v, sizeof(v));
  const Quarter pairs = half[0] + half[1];
  double sum = 0;
#pragma GCC unroll 4
  for (int i = 0; i < kHalf / 2; ++i) sum += pairs[i];
  return sum;
}

// out[i] = sum over k < size of x[i * stride + k] w[k], for `images` <= kImages rows x; out has room for kImages.
void dots(const double* x, int64_t stride, int images, const float* w, int size, double* out) {
  WideVec sums[kImages]{};
  int k = 0;
  if (images == kImages) {
    for (; k + kHalf <= size; k += kHalf) {
      const WideVec weight = widen(w + k, kHalf);
#pragma GCC unroll 4
      for (int i = 0; i < kImages; ++i) sums[i] += load_wide(x + i * stride + k) * weight;
    }
  }
  for (; k < size; k += kHalf) {
    const WideVec weight = widen(w + k, size - k);
#pragma GCC unroll 4
    for (int i = 0; i < kImages; ++i) sums[i] += load_wide_part(x + (i < images ? i : 0) * stride + k, size - k) * weight;
  }
#pragma GCC unroll 4
  for (int i = 0; i < kImages; ++i) out[i] = sum_of(sums[i]);
}

int channel_chunk(int c) { return min_of(kMostChunk, padded_channels(ceil_div(c, kMinItems), kLanes)); }

// Statistics of r over the images, a feature at a time.
struct Feature {
  double mean, variance, invstd;
};
Feature feature_of(const SkAttentionProblem& p, const double* r, int j) {
  double sum = 0, squares = 0;
  for (int n = 0; n < p.n; ++n) sum += r[static_cast<int64_t>(n) * p.d + j];
  const double mean = sum / p.n;
  for (int n = 0; n < p.n; ++n) {
    const double delta = r[static_cast<int64_t>(n) * p.d + j] - mean;
    squares += delta * delta;
  }
  return {mean, squares / p.n, 1.0 / std::sqrt(squares / p.n + p.eps)};
}

void normalise(const SkAttentionProblem& p, const SkAttentionForwardArgs& a) {
  for (int j = 0; j < p.d; ++j) {
    Feature f;
    if (a.running_mean == nullptr) {
      f = feature_of(p, a.reduced, j);
      a.batch_mean[j] = static_cast<float>(f.mean);
      a.batch_var[j] = static_cast<float>(f.variance * p.n / (p.n - 1));
    } else {
      const double variance = a.running_var[j];
      f = {a.running_mean[j], variance, 1.0 / std::sqrt(variance + p.eps)};
    }
    for (int n = 0; n < p.n; ++n) {
      const int64_t at = static_cast<int64_t>(n) * p.d + j;
      const double z = a.gamma[j] * ((a.reduced[at] - f.mean) * f.invstd) + a.beta[j];
      a.normed[at] = 0 > z ? 0 : z;  // a NaN stays one
    }
  }
}

// attention[m] = softmax over m of logits[m][channel]; the largest needs no exp.
void softmax(int branches, const double (*logits)[kImages][kMostChunk], int image, int channel, float* attention, int64_t stride) {
  double top = logits[0][image][channel], e[kMaxBranches], sum = 0;
  for (int m = 1; m < branches; ++m) top = logits[m][image][channel] > top ? logits[m][image][channel] : top;
  for (int m = 0; m < branches; ++m) {
    const double z = logits[m][image][channel];
    sum += e[m] = z == top ? 1 : std::exp(z - top);
  }
  for (int m = 0; m < branches; ++m) attention[m * stride] = static_cast<float>(e[m] / sum);
}

void forward(const SkAttentionProblem& p, const SkAttentionForwardArgs& a, const Exec& exec) {
  const int64_t padded = padded_channels(p.c, kLanes);
  const int tiles = ceil_div(p.n, kImages), row_chunks = ceil_div(p.d, kRows);
  parallel_for(*exec.pool, static_cast<int64_t>(tiles) * row_chunks, [&](int64_t item, int) {
    const int n0 = static_cast<int>(item / row_chunks) * kImages, images = min_of(kImages, p.n - n0);
    const int j0 = static_cast<int>(item % row_chunks) * kRows;
    for (int j = j0; j < min_of(p.d, j0 + kRows); ++j) {
      double r[kImages];
      dots(a.s + n0 * padded, padded, images, a.reduce + static_cast<int64_t>(j) * p.c, p.c, r);
      for (int i = 0; i < images; ++i) a.reduced[static_cast<int64_t>(n0 + i) * p.d + j] = r[i];
    }
  });
  normalise(p, a);
  const int chunk = channel_chunk(p.c), chunks = ceil_div(p.c, chunk);
  parallel_for(*exec.pool, static_cast<int64_t>(tiles) * chunks, [&](int64_t item, int) {
    const int n0 = static_cast<int>(item % tiles) * kImages, images = min_of(kImages, p.n - n0);
    const int c0 = static_cast<int>(item / tiles) * chunk, channels = min_of(chunk, p.c - c0);
    double logits[kMaxBranches][kImages][kMostChunk];
    for (int m = 0; m < p.branches; ++m) {
      for (int ch = 0; ch < channels; ++ch) {
        const int64_t row = static_cast<int64_t>(m) * p.c + c0 + ch;
        double out[kImages];
        dots(a.normed + static_cast<int64_t>(n0) * p.d, p.d, images, a.select + row * p.d, p.d, out);
        for (int i = 0; i < images; ++i) logits[m][i][ch] = out[i];
      }
    }
    for (int i = 0; i < images; ++i) {
      float* attention = a.attention + (n0 + i) * padded + c0;
      for (int ch = 0; ch < channels; ++ch) softmax(p.branches, logits, i, ch, attention + ch, p.n * padded);
      for (int m = 0; m < p.branches; ++m) {
        for (int64_t ch = channels; ch < min_of<int64_t>(chunk, padded - c0); ++ch) attention[m * p.n * padded + ch] = 0;
      }
    }
  });
}

// ---- backward

constexpr int kVectors = 4;  // a tile of features

// Float64 temporaries. Images and features are padded to whole tiles, with zeros.
struct Temporaries {
  int64_t images, features, channels;
  int chunk, chunks;
  double* dlogits;  // [chunk][M][images][channels of a chunk]: a stride of C would alias in L1
  double* q;        // [images][features]
  double* dq;       // [chunk][images][features] partial sums; the first then dr
  double* dlogits_of(int c0, int m) const {
    return dlogits + (static_cast<int64_t>(c0) * kMaxBranches + static_cast<int64_t>(m) * chunk) * images;
  }
  int64_t doubles() const { return (kMaxBranches * chunks * chunk + (1 + chunks) * features) * images; }
};

Temporaries temporaries(const SkAttentionProblem& p, char* memory) {
  Temporaries t{};
  t.images = padded_channels(p.n, kImages);
  t.features = padded_channels(p.d, kVectors * kHalf);
  t.channels = padded_channels(p.c, kLanes);
  t.chunk = channel_chunk(p.c);
  t.chunks = ceil_div(p.c, t.chunk);
  t.dlogits = reinterpret_cast<double*>(memory);
  t.q = t.dlogits + t.images * kMaxBranches * t.chunks * t.chunk;
  t.dq = t.q + t.images * t.features;
  return t;
}

size_t backward_workspace(const SkAttentionProblem& p) { return sizeof(double) * static_cast<size_t>(temporaries(p, nullptr).doubles()); }

// dlogit_m = a_m (da_m - sum_k a_k da_k), da_m = sum of dv U_m.
void logit_gradients(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Temporaries& t, int c0, int c1) {
  for (int n = 0; n < static_cast<int>(t.images); ++n) {
    for (int c = c0; c < c1; c += kHalf) {
      WideVec weight[kMaxBranches]{}, da[kMaxBranches]{}, dot{};
      for (int m = 0; n < p.n && m < p.branches; ++m) {
        const int64_t at = (static_cast<int64_t>(m) * p.n + n) * t.channels + c;
        weight[m] = widen(a.attention + at, kHalf);
        da[m] = widen(a.scale[m] + c, kHalf) * load_wide(a.dv_mask_u + at) + widen(a.shift[m] + c, kHalf) * load_wide(a.dv_mask + at);
        dot += weight[m] * da[m];
      }
      for (int m = 0; m < p.branches; ++m) store_wide(t.dlogits_of(c0, m) + n * t.chunk + c - c0, weight[m] * (da[m] - dot));
    }
  }
}

// dselect[row] = sum over images of dlogit q, for the rows of channels [c0, c1).
void select_gradient(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Temporaries& t, int m, int c0, int c1) {
  for (int c = c0; c < c1; ++c) {
    const double* dlogits = t.dlogits_of(c0, m) + c - c0;
    float* out = a.dselect + (static_cast<int64_t>(m) * p.c + c) * p.d;
    for (int k = 0; k < p.d; k += kVectors * kHalf) {
      WideVec sums[kVectors]{};
      for (int n = 0; n < p.n; ++n) {
        const double gradient = dlogits[n * t.chunk];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[v] += gradient * load_wide(t.q + n * t.features + k + v * kHalf);
      }
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) narrow_part(out + k + v * kHalf, sums[v], p.d - k - v * kHalf);
    }
  }
}

// dq += sum over the rows of channels [c0, c1), all branches, of dlogit W_select.
void normed_gradient(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Temporaries& t, int c0, int c1, double* dq) {
  for (int k = 0; k < p.d; k += kHalf) {
    for (int64_t n = 0; n < t.images; n += kImages) {
      WideVec sums[kImages]{};
      for (int m = 0; m < p.branches; ++m) {
        for (int c = c0; c < c1; ++c) {
          const WideVec weight = widen(a.select + (static_cast<int64_t>(m) * p.c + c) * p.d + k, p.d - k);
          const double* dlogits = t.dlogits_of(c0, m) + n * t.chunk + c - c0;
#pragma GCC unroll 4
          for (int i = 0; i < kImages; ++i) sums[i] += dlogits[i * t.chunk] * weight;
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < kImages; ++i) store_wide(dq + (n + i) * t.features + k, sums[i]);
    }
  }
}

// From the chunks' dq to dr (in the first chunk's place), dgamma and dbeta.
void normalise_backward(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Temporaries& t) {
  const int64_t size = t.images * t.features;
  for (int chunk = 1; chunk < t.chunks; ++chunk) {
    for (int64_t row = 0; row < size; row += t.features) {
      for (int64_t at = row; at < row + p.d; ++at) t.dq[at] += t.dq[chunk * size + at];
    }
  }
  for (int64_t n = 0; n < t.images; ++n) {
    for (int64_t j = p.d; j < t.features; ++j) t.dq[n * t.features + j] = 0;
  }
  for (int j = 0; j < p.d; ++j) {
    const Feature f = feature_of(p, a.reduced, j);
    const auto xhat = [&](int n) { return (a.reduced[static_cast<int64_t>(n) * p.d + j] - f.mean) * f.invstd; };
    double sum = 0, dot = 0;
    for (int n = 0; n < p.n; ++n) {
      double& dz = t.dq[n * t.features + j];
      if (!(a.normed[static_cast<int64_t>(n) * p.d + j] > 0)) dz = 0;
      sum += dz;
      dot += dz * xhat(n);
    }
    a.dbeta[j] = static_cast<float>(sum);
    a.dgamma[j] = static_cast<float>(dot);
    const double gain = a.gamma[j] * f.invstd;
    for (int n = 0; n < p.n; ++n) {
      double& dr = t.dq[n * t.features + j];
      dr = gain * (dr - (sum + xhat(n) * dot) / p.n);
    }
  }
}

// dreduce = dr^T s and ds = dr W_reduce, for channels [c0, c1); c1 may reach into the padding, where ds is zero. panel: room for W_reduce's
// and s's kHalf channels, which lie far apart in memory.
constexpr int kRowTile = 4;
void reduce_gradients(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Temporaries& t, int c0, int c1, double* panel) {
  double* weights = panel + static_cast<int64_t>(p.n) * kHalf;
  for (int c = c0; c < c1; c += kHalf) {
    const int real = max_of(0, p.c - c);
    for (int n = 0; n < p.n; ++n) store_wide(panel + n * kHalf, load_wide(a.s + n * t.channels + c));
    for (int j = 0; j < p.d; ++j) store_wide(weights + j * kHalf, widen(a.reduce + static_cast<int64_t>(j) * p.c + c, real));
    for (int j = 0; j < p.d; j += kRowTile) {
      WideVec sums[kRowTile]{};
      for (int n = 0; n < p.n; ++n) {
        const WideVec s = load_wide(panel + n * kHalf);
        const double* dr = t.dq + n * t.features + j;
#pragma GCC unroll 4
        for (int i = 0; i < kRowTile; ++i) sums[i] += dr[i] * s;  // the features are padded
      }
#pragma GCC unroll 4
      for (int i = 0; i < kRowTile; ++i) {
        if (j + i < p.d) narrow_part(a.dreduce + static_cast<int64_t>(j + i) * p.c + c, sums[i], real);
      }
    }
    for (int n = 0; n < p.n; n += kImages) {
      WideVec sums[kImages]{};
      for (int j = 0; j < p.d; ++j) {
        const WideVec weight = load_wide(weights + j * kHalf);
        const double* dr = t.dq + n * t.features + j;
#pragma GCC unroll 4
        for (int i = 0; i < kImages; ++i) sums[i] += dr[i * t.features] * weight;  // the images are padded
      }
#pragma GCC unroll 4
      for (int i = 0; i < kImages; ++i) {
        if (n + i < p.n) store_wide(a.ds + (n + i) * t.channels + c, sums[i]);
      }
    }
  }
}

size_t backward_scratch(const SkAttentionProblem& p) {
  return sizeof(double) * kHalf * (static_cast<size_t>(p.n) + static_cast<size_t>(p.d));
}

void backward(const SkAttentionProblem& p, const SkAttentionBackwardArgs& a, const Exec& exec) {
  const Temporaries t = temporaries(p, exec.workspace);
  for (int64_t n = 0; n < t.images; ++n) {
    for (int64_t j = 0; j < t.features; ++j) t.q[n * t.features + j] = n < p.n && j < p.d ? a.normed[n * p.d + j] : 0;
  }
  parallel_for(*exec.pool, t.chunks, [&](int64_t chunk, int) {
    const int c0 = static_cast<int>(chunk) * t.chunk, c1 = min_of(p.c, c0 + t.chunk);
    logit_gradients(p, a, t, c0, c1);
    for (int m = 0; m < p.branches; ++m) select_gradient(p, a, t, m, c0, c1);
    normed_gradient(p, a, t, c0, c1, t.dq + chunk * t.images * t.features);
  });
  normalise_backward(p, a, t);
  parallel_for(*exec.pool, t.chunks, [&](int64_t chunk, int thread) {
    const int c0 = static_cast<int>(chunk) * t.chunk, c1 = min_of(static_cast<int>(t.channels), c0 + t.chunk);
    reduce_gradients(p, a, t, c0, c1, reinterpret_cast<double*>(exec.scratch + static_cast<size_t>(thread) * exec.scratch_stride));
  });
}

}  // namespace

namespace SKNET_ISA {

const SkAttentionForward sk_attention_forward_plain{"float64", nullptr, nullptr, nullptr, forward};
const SkAttentionBackward sk_attention_backward_plain{"float64", nullptr, backward_workspace, backward_scratch, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
