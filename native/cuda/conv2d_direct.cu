// conv2d on CUDA, candidate "direct": one lane an output element, loops over channels and taps, float32 sums. What others are held against,
// and what is left where nobody else accepts.
#include "cuda/channel_sums.h"
#include "cuda/conv2d_direct.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;

unsigned blocks_of(int64_t lanes) { return static_cast<unsigned>((lanes + kLanes - 1) / kLanes); }
unsigned padded(int c) { return static_cast<unsigned>(padded_channels(c, kRows)); }

__device__ __forceinline__ float normalized(const Normalize& n, int c, float v) {
  if (n.scale == nullptr) return v;
  const float z = n.scale[c] * v + n.shift[c];
  return n.relu && !(z > 0) ? 0.0f : z;
}

// x at a pixel, read through what lies before it.
template <class Elem>
struct Input {
  const void* x;
  Normalize norm;
  bool rows;  // float32, no padding
  int c, padded;
  __device__ __forceinline__ float operator()(int64_t pixel, int channel) const {
    if (rows) return static_cast<const float*>(x)[pixel * c + channel];
    return normalized(norm, channel, to_f(static_cast<const Elem*>(x)[pixel * padded + channel]));
  }
};

// dy at a pixel, read through the norm behind.
template <class Elem>
struct Gradient {
  const Elem* dy;
  NormGradient norm;
  int padded;
  __device__ __forceinline__ float operator()(int64_t pixel, int channel) const {
    const float dz = to_f(dy[pixel * padded + channel]);
    if (norm.u == nullptr) return dz;
    const float u = to_f(static_cast<const Elem*>(norm.u)[pixel * padded + channel]);
    return norm.gain[channel] * dz + (norm.slope[channel] * (u - norm.mean[channel]) - norm.offset[channel]);
  }
};

template <class Elem>
Input<Elem> input_of(const Conv2dProblem& p, const void* x, const Normalize& norm) {
  return {x, norm, p.fusion.x_rows, p.c, padded_channels(p.c, kRows)};
}
template <class Elem>
Gradient<Elem> gradient_of(const Conv2dProblem& p, const void* dy, const NormGradient& norm) {
  return {static_cast<const Elem*>(dy), norm, padded_channels(p.out, kRows)};
}

// ---------------------------------------------------------------------------------------------------- forward

template <class Elem>
__global__ void forward_element(Conv2dProblem p, Input<Elem> x, Conv2dForwardArgs a) {
  const int width = padded_channels(p.out, kRows);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x, pixel = i / width;
  if (pixel >= static_cast<int64_t>(p.n) * p.oh * p.ow) return;
  Elem* y = static_cast<Elem*>(a.y);
  const int out = static_cast<int>(i % width);
  if (out >= p.out) return put(y + i, 0.0f);
  const int ow = static_cast<int>(pixel % p.ow), oh = static_cast<int>(pixel / p.ow % p.oh);
  const int64_t n = pixel / p.ow / p.oh;
  const int per_group = p.c / p.groups, first = out / (p.out / p.groups) * per_group;
  const float* weight = a.weight + static_cast<int64_t>(out) * per_group * p.kernel * p.kernel;
  float sum = a.bias == nullptr ? 0.0f : a.bias[out];
  for (int kh = 0; kh < p.kernel; ++kh) {
    const int h = oh * p.stride - p.padding + kh * p.dilation;
    if (h < 0 || h >= p.h) continue;
    for (int kw = 0; kw < p.kernel; ++kw) {
      const int w = ow * p.stride - p.padding + kw * p.dilation;
      if (w < 0 || w >= p.w) continue;
      for (int c = 0; c < per_group; ++c) {
        sum += x((n * p.h + h) * p.w + w, first + c) * weight[(c * p.kernel + kh) * p.kernel + kw];
      }
    }
  }
  if (p.fusion.y_norm) {
    sum = a.y_norm.scale[out] * sum + a.y_norm.shift[out];
    if (a.residual != nullptr) sum += to_f(static_cast<const Elem*>(a.residual)[i]);
    if (a.y_norm.relu && !(sum > 0)) sum = 0;
  }
  put(y + i, sum);
}

template <class Elem>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const int64_t rows = static_cast<int64_t>(p.n) * p.oh * p.ow;
  SIMT_LAUNCH(forward_element<Elem>, blocks_of(rows * padded(p.out)), kLanes, 0, exec.stream, p, input_of<Elem>(p, a.x, a.x_norm), a);
  if (a.statistics.gamma == nullptr) return;
  SIMT_LAUNCH(channel_statistics<Elem>, padded(p.out), kSumLanes, 0, exec.stream, static_cast<const Elem*>(a.y), rows, p.out, a.statistics);
}

// ---------------------------------------------------------------------------------------------------- backward_data

template <class Elem>
__global__ void backward_data_element(Conv2dProblem p, Gradient<Elem> dy, Conv2dBackwardDataArgs a) {
  const int width = padded_channels(p.c, kRows);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x, pixel = i / width;
  if (pixel >= static_cast<int64_t>(p.n) * p.h * p.w) return;
  Elem* dx = static_cast<Elem*>(a.dx);
  const int c = static_cast<int>(i % width);
  if (c >= p.c) return put(dx + i, 0.0f);
  const int w = static_cast<int>(pixel % p.w), h = static_cast<int>(pixel / p.w % p.h);
  const int64_t n = pixel / p.w / p.h;
  const int per_group = p.c / p.groups, out_per_group = p.out / p.groups, first = c / per_group * out_per_group;
  float sum = 0;
  for (int kh = 0; kh < p.kernel; ++kh) {
    const int at_h = h + p.padding - kh * p.dilation;  // of the output, times the stride
    if (at_h < 0 || at_h % p.stride != 0 || at_h / p.stride >= p.oh) continue;
    for (int kw = 0; kw < p.kernel; ++kw) {
      const int at_w = w + p.padding - kw * p.dilation;
      if (at_w < 0 || at_w % p.stride != 0 || at_w / p.stride >= p.ow) continue;
      const int64_t from = (n * p.oh + at_h / p.stride) * p.ow + at_w / p.stride;
      for (int o = first; o < first + out_per_group; ++o) {
        sum += dy(from, o) * a.weight[((static_cast<int64_t>(o) * per_group + c % per_group) * p.kernel + kh) * p.kernel + kw];
      }
    }
  }
  const NormClose& close = a.close;
  const void* add = close.u == nullptr ? a.add : close.add;
  if (add != nullptr) sum += to_f(static_cast<const Elem*>(add)[i]);
  if (close.u != nullptr && close.relu) {
    const float open = close.output != nullptr ? to_f(static_cast<const Elem*>(close.output)[i])
                                               : close.scale[c] * to_f(static_cast<const Elem*>(close.u)[i]) + close.shift[c];
    if (!(open > 0)) sum = 0;
  }
  put(dx + i, sum);
}

template <class Elem>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const int64_t rows = static_cast<int64_t>(p.n) * p.h * p.w;
  SIMT_LAUNCH(backward_data_element<Elem>, blocks_of(rows * padded(p.c)), kLanes, 0, exec.stream, p, gradient_of<Elem>(p, a.dy, a.dy_norm),
              a);
  if (a.close.u == nullptr) return;
  SIMT_LAUNCH(channel_close<Elem>, padded(p.c), kSumLanes, 0, exec.stream, static_cast<const Elem*>(a.dx), rows, p.c, a.close);
}

// ---------------------------------------------------------------------------------------------------- backward_weight

// A block an element of dweight; behind them, where there is a bias, a block an element of dbias.
template <class Elem>
__global__ void backward_weight_element(Conv2dProblem p, Input<Elem> x, Gradient<Elem> dy, Conv2dBackwardWeightArgs a) {
  SIMT_SHARED(double[kSumLanes], shared);
  const int per_group = p.c / p.groups, taps = p.kernel * p.kernel, weights = p.out * per_group * taps;
  const int i = static_cast<int>(blockIdx.x);
  const bool bias = i >= weights;
  const int out = bias ? i - weights : i / taps / per_group, kh = i % taps / p.kernel, kw = i % p.kernel;
  const int c = out / (p.out / p.groups) * per_group + i / taps % per_group;
  const int64_t pixels = static_cast<int64_t>(p.n) * p.oh * p.ow;
  double sum = 0;
  for (int64_t pixel = threadIdx.x; pixel < pixels; pixel += kSumLanes) {
    if (bias) {
      sum += dy(pixel, out);
      continue;
    }
    const int h = static_cast<int>(pixel / p.ow % p.oh) * p.stride - p.padding + kh * p.dilation;
    const int w = static_cast<int>(pixel % p.ow) * p.stride - p.padding + kw * p.dilation;
    if (h < 0 || h >= p.h || w < 0 || w >= p.w) continue;
    sum += static_cast<double>(dy(pixel, out)) * x((pixel / p.ow / p.oh * p.h + h) * p.w + w, c);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) (bias ? a.dbias[out] : a.dweight[i]) = static_cast<float>(sum);
}

template <class Elem>
void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const int weights = p.out * (p.c / p.groups) * p.kernel * p.kernel;
  SIMT_LAUNCH(backward_weight_element<Elem>, static_cast<unsigned>(weights + (a.dbias == nullptr ? 0 : p.out)), kSumLanes, 0, exec.stream,
              p, input_of<Elem>(p, a.x, a.x_norm), gradient_of<Elem>(p, a.dy, a.dy_norm), a);
}

const char* refuse(const Conv2dProblem& p) { return p.fusion.x_branches > 0 ? "makes no SK unit's output" : nullptr; }

}  // namespace

const Conv2dForward conv2d_forward_direct_fp32{"direct", refuse, nullptr, nullptr, forward<float>};
const Conv2dForward conv2d_forward_direct_bf16{"direct", refuse, nullptr, nullptr, forward<bf16>};
const Conv2dBackwardData conv2d_backward_data_direct_fp32{"direct", nullptr, nullptr, nullptr, backward_data<float>};
const Conv2dBackwardData conv2d_backward_data_direct_bf16{"direct", nullptr, nullptr, nullptr, backward_data<bf16>};
const Conv2dBackwardWeight conv2d_backward_weight_direct_fp32{"direct", refuse, nullptr, nullptr, backward_weight<float>};
const Conv2dBackwardWeight conv2d_backward_weight_direct_bf16{"direct", refuse, nullptr, nullptr, backward_weight<bf16>};

}  // namespace sknet::cuda
