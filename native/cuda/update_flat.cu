// The update's ops on CUDA. Segments and tensors travel by value with the launches, so that nothing of them lies in memory; a long list
// takes several launches. Sums are in float64, some blocks a segment and then in the segments' order: the same on every device.
#include <cmath>

#include "cuda/simt/simt.h"
#include "cuda/update_flat.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;
constexpr int kListed = 100;           // of a launch, whose arguments may have 4 KiB
constexpr unsigned kMostBlocks = 256;  // of a segment

struct Segments {
  SgdSegment of[kListed];
};

// launch(segments, how many) for the whole list.
template <class F>
void for_segments(const SgdSegment* segments, int all, const F& launch) {
  for (int first = 0; first < all; first += kListed) {
    Segments some{};
    const int count = all - first < kListed ? all - first : kListed;
    for (int i = 0; i < count; ++i) some.of[i] = segments[first + i];
    launch(some, count);
  }
}

// ---------------------------------------------------------------------------------------------------- sgd

__global__ void step_segments(Segments segments, float momentum, bool nesterov, SgdArgs a) {
  if (a.control->live == 0) return;
  const SgdSegment s = segments.of[blockIdx.y];
  const float lr = a.control->lr * s.lr_scale, scale = a.control->gradient_scale, trust = a.trust == nullptr ? 1.0f : a.trust[s.tensor];
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x; i < s.size; i += static_cast<int64_t>(gridDim.x) * kLanes) {
    const int64_t at = s.offset + i;
    const float w = a.value[at], g = trust * (a.gradient[at] * scale + s.weight_decay * w);
    const float v = momentum * a.momentum[at] + g;
    a.momentum[at] = v;
    const float next = w - lr * (nesterov ? g + momentum * v : v);
    a.value[at] = next;
    if (a.ema != nullptr) a.ema[at] = a.ema_decay * a.ema[at] + (1.0f - a.ema_decay) * next;
  }
}

void run_sgd(const SgdProblem& p, const SgdArgs& a, const Exec& exec) {
  for_segments(p.segments, p.segment_count, [&](const Segments& segments, int count) {
    int64_t largest = 1;
    for (int i = 0; i < count; ++i) largest = segments.of[i].size > largest ? segments.of[i].size : largest;
    const int64_t blocks = (largest + kLanes - 1) / kLanes;
    const dim3 grid(blocks < kMostBlocks ? static_cast<unsigned>(blocks) : kMostBlocks, static_cast<unsigned>(count));
    SIMT_LAUNCH(step_segments, grid, kLanes, 0, exec.stream, segments, p.momentum, p.nesterov, a);
  });
}

// ---------------------------------------------------------------------------------------------------- ema

__global__ void average(int64_t size, EmaArgs a) {
  if (a.control != nullptr && a.control->live == 0) return;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= size) return;
  const float take = (1.0f - a.decay) * a.scale;
  a.average[i] = a.decay * a.average[i] + take * a.value[i];
}

void run_ema(const EmaProblem& p, const EmaArgs& a, const Exec& exec) {
  if (p.size == 0) return;  // a network without batch norms
  SIMT_LAUNCH(average, static_cast<unsigned>((p.size + kLanes - 1) / kLanes), kLanes, 0, exec.stream, p.size, a);
}

// ---------------------------------------------------------------------------------------------------- reduce_norm

// The sum of all lanes' `v`, for lane 0.
__device__ __forceinline__ double sum_lanes(double v, double* shared) {
  const int lane = static_cast<int>(threadIdx.x);
  shared[lane] = v;
  __syncthreads();
  for (int half = kLanes / 2; half > 0; half /= 2) {
    if (lane < half) shared[lane] += shared[lane + half];
    __syncthreads();
  }
  return shared[0];
}

// Where a segment lies.
struct Spans {
  static constexpr int kMost = 240;
  struct {
    int64_t offset, size;
  } of[kMost];
};

constexpr int kParts = 8;   // blocks that share a segment
constexpr int kAtOnce = 4;  // loads of a lane

// partial[first + segment][part] = the sum of the squares of its part of x.
__global__ void __launch_bounds__(kLanes) square_segments(Spans spans, const float* x, double* partial, int first) {
  SIMT_SHARED(double[kLanes], shared);
  const auto s = spans.of[blockIdx.y];
  const int lane = static_cast<int>(blockIdx.x) * kLanes + static_cast<int>(threadIdx.x);
  // Up to three numbers before the first whole 16 bytes, and behind the last.
  const int64_t to_whole = (4 - s.offset % 4) % 4, before = to_whole < s.size ? to_whole : s.size, fours = (s.size - before) / 4;
  const float4* whole = reinterpret_cast<const float4*>(x + s.offset + before);
  double sum = 0;
  for (int64_t i = lane; i < fours; i += kAtOnce * kParts * kLanes) {
    float4 v[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) v[k] = i + k * kParts * kLanes < fours ? whole[i + k * kParts * kLanes] : float4{0, 0, 0, 0};
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const double a = v[k].x, b = v[k].y, c = v[k].z, d = v[k].w;
      sum += (a * a + b * b) + (c * c + d * d);
    }
  }
  const int64_t after = before + 4 * fours;
  if (lane < before) sum += static_cast<double>(x[s.offset + lane]) * x[s.offset + lane];
  if (after + lane < s.size) sum += static_cast<double>(x[s.offset + after + lane]) * x[s.offset + after + lane];
  sum = sum_lanes(sum, shared);
  if (threadIdx.x == 0) partial[(first + static_cast<int>(blockIdx.y)) * kParts + static_cast<int>(blockIdx.x)] = sum;
}

// x must be 16-byte aligned.
void launch_squares(const SgdSegment* segments, int all, const float* x, double* partial, void* stream) {
  for (int first = 0; first < all; first += Spans::kMost) {
    Spans spans{};
    const int count = all - first < Spans::kMost ? all - first : Spans::kMost;
    for (int i = 0; i < count; ++i) spans.of[i] = {segments[first + i].offset, segments[first + i].size};
    SIMT_LAUNCH(square_segments, dim3(kParts, static_cast<unsigned>(count)), kLanes, 0, stream, spans, x, partial, first);
  }
}

size_t partial_count(int segments) { return static_cast<size_t>(segments) * kParts; }

__global__ void finish_norm(int count, const double* partial, double clip, const float* loss, UpdateControl* control) {
  SIMT_SHARED(double[kLanes], shared);
  double sum = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kLanes) sum += partial[i];
  sum = sum_lanes(sum, shared);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  control->gradient_norm = norm;
  control->gradient_scale = clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1.0f;
  if (!std::isfinite(norm) || !std::isfinite(*loss)) control->live = 0;
}

size_t norm_workspace(const ReduceNormProblem& p) { return sizeof(double) * partial_count(p.segment_count); }

void run_norm(const ReduceNormProblem& p, const ReduceNormArgs& a, const Exec& exec) {
  double* partial = reinterpret_cast<double*>(exec.workspace);
  launch_squares(p.segments, p.segment_count, a.x, partial, exec.stream);
  SIMT_LAUNCH(finish_norm, 1, kLanes, 0, exec.stream, p.segment_count * kParts, partial, p.clip, a.loss, a.control);
}

// ---------------------------------------------------------------------------------------------------- trust_ratio

struct Tensors {
  struct {
    int first, segments, tensor;
    float weight_decay;
    bool scaled;
  } of[kListed];
};

// A block a tensor.
__global__ void __launch_bounds__(kLanes)
    ratios(Tensors tensors, float coefficient, const double* value, const double* gradient, TrustRatioArgs a) {
  SIMT_SHARED(double[2][kLanes], shared);
  if (a.control->live == 0) return;
  const auto t = tensors.of[blockIdx.x];
  double w = 0, g = 0;
  for (int s = static_cast<int>(threadIdx.x); s < t.segments * kParts; s += kLanes) {
    w += value[t.first * kParts + s];
    g += gradient[t.first * kParts + s];
  }
  w = sum_lanes(w, shared[0]);
  g = sum_lanes(g, shared[1]);
  if (threadIdx.x != 0) return;
  w = sqrt(w);
  g = sqrt(g) * a.control->gradient_scale;
  a.trust[t.tensor] = t.scaled && w > 0 && g > 0 ? static_cast<float>(coefficient * w / (g + t.weight_decay * w)) : 1.0f;
}

size_t trust_workspace(const TrustRatioProblem& p) { return 2 * sizeof(double) * partial_count(p.segment_count); }

void run_trust(const TrustRatioProblem& p, const TrustRatioArgs& a, const Exec& exec) {
  double* value = reinterpret_cast<double*>(exec.workspace);
  double* gradient = value + partial_count(p.segment_count);
  launch_squares(p.segments, p.segment_count, a.value, value, exec.stream);
  launch_squares(p.segments, p.segment_count, a.gradient, gradient, exec.stream);
  for (int at = 0; at < p.segment_count;) {
    Tensors tensors{};
    int count = 0;
    for (; count < kListed && at < p.segment_count; ++count) {
      const int first = at, tensor = p.segments[at].tensor;
      while (at < p.segment_count && p.segments[at].tensor == tensor) ++at;
      tensors.of[count] = {first, at - first, tensor, p.segments[first].weight_decay, p.scaled[tensor] != 0};
    }
    SIMT_LAUNCH(ratios, static_cast<unsigned>(count), kLanes, 0, exec.stream, tensors, p.coefficient, value, gradient, a);
  }
}

}  // namespace

const Sgd sgd_flat{"flat", nullptr, nullptr, nullptr, run_sgd};
const Ema ema_flat{"flat", nullptr, nullptr, nullptr, run_ema};
const ReduceNorm reduce_norm_flat{"flat", nullptr, norm_workspace, nullptr, run_norm};
const TrustRatio trust_ratio_flat{"flat", nullptr, trust_workspace, nullptr, run_trust};

}  // namespace sknet::cuda
