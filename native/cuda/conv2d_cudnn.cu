// conv2d on CUDA, candidates "cudnn", "cudnn:1", ...: dense, grouped, dilated, strided convolutions by cuDNN's plans, in the order of its
// heuristics. Nothing is done in passing, and channels fill whole vectors: cuDNN would leave padding unwritten.
#include <utility>

#include "cuda/column_sums.h"
#include "cuda/conv2d_cudnn.h"
#include "cuda/cudnn_convolution.h"
#include "cuda/kernels.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;
unsigned blocks_of(int64_t lanes) { return static_cast<unsigned>((lanes + kLanes - 1) / kLanes); }

template <class Elem>
Convolution problem_of(Direction direction, const Conv2dProblem& p) {
  return {direction, sizeof(Elem) == 2, p.n, p.h, p.w, p.c, p.out, p.oh, p.ow, p.kernel, p.stride, p.padding, p.dilation, p.groups};
}

int64_t input_size(const Conv2dProblem& p) { return static_cast<int64_t>(p.n) * p.h * p.w * p.c; }
int64_t output_rows(const Conv2dProblem& p) { return static_cast<int64_t>(p.n) * p.oh * p.ow; }
int64_t weight_size(const Conv2dProblem& p) { return static_cast<int64_t>(p.out) * (p.c / p.groups) * p.kernel * p.kernel; }
size_t whole_lines(size_t bytes) { return (bytes + 255) / 256 * 256; }

const char* refuse_shape(const Conv2dProblem& p) {
  if (p.c % kRowVector != 0 || p.out % kRowVector != 0) return "channels are no multiple of 8";
  const Conv2dFusion& f = p.fusion;
  if (f.x_rows) return "the network's input is not read by rows";
  if (f.x_norm || f.x_branches > 0 || f.dy_norm) return "reads activations and gradients as they are";
  if (f.statistics || f.y_norm || f.close) return "does nothing in passing";
  return nullptr;
}

template <class Elem, Direction kDirection, int kPlan>
const char* refuse(const Conv2dProblem& p) {
  if (const char* reason = refuse_shape(p)) return kPlan == 0 ? reason : "";
  return cudnn_refused(problem_of<Elem>(kDirection, p), kPlan);
}

template <class Elem, Direction kDirection, int kPlan>
size_t own_workspace(const Conv2dProblem& p) {
  return whole_lines(cudnn_workspace(problem_of<Elem>(kDirection, p), kPlan));
}

// ---------------------------------------------------------------------------------------------------- weights

// OIHW to [out][tap][c / groups], and back.
template <class Elem>
__global__ void __launch_bounds__(kLanes) pack_channels_last(const float* weight, Elem* packed, int64_t size, int channels, int taps) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= size) return;
  const int c = static_cast<int>(i % channels), tap = static_cast<int>(i / channels % taps);
  put(packed + i, weight[(i / channels / taps * channels + c) * taps + tap]);
}
__global__ void __launch_bounds__(kLanes) unpack_channels_last(const float* packed, float* weight, int64_t size, int channels, int taps) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= size) return;
  const int tap = static_cast<int>(i % taps), c = static_cast<int>(i / taps % channels);
  weight[i] = packed[(i / taps / channels * taps + tap) * channels + c];
}

template <class Elem>
size_t packed(const Conv2dProblem& p) {
  return sizeof(Elem) * static_cast<size_t>(weight_size(p));
}
template <class Elem, class Args>
void pack(const Conv2dProblem& p, const Args& a, const Exec& exec) {
  SIMT_LAUNCH((pack_channels_last<Elem>), blocks_of(weight_size(p)), kLanes, 0, exec.stream, a.weight, reinterpret_cast<Elem*>(exec.packed),
              weight_size(p), p.c / p.groups, p.kernel * p.kernel);
}

// ---------------------------------------------------------------------------------------------------- forward

template <class Elem>
__global__ void __launch_bounds__(kLanes) add_bias(Elem* y, const float* bias, int64_t size, int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i < size) put(y + i, to_f(y[i]) + bias[i % channels]);
}

template <class Elem, int kPlan>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  cudnn_convolve(problem_of<Elem>(Direction::kForward, p), kPlan, a.x, exec.packed, a.y, exec.workspace, exec.stream);
  if (a.bias == nullptr) return;
  const int64_t size = output_rows(p) * p.out;
  SIMT_LAUNCH((add_bias<Elem>), blocks_of(size), kLanes, 0, exec.stream, static_cast<Elem*>(a.y), a.bias, size, p.out);
}

// ---------------------------------------------------------------------------------------------------- backward_data

// What is added may be dx itself: the convolution goes to memory behind cuDNN's own then.
template <class Elem, int kPlan>
size_t data_workspace(const Conv2dProblem& p) {
  return own_workspace<Elem, Direction::kBackwardData, kPlan>(p) + sizeof(Elem) * static_cast<size_t>(input_size(p));
}
template <class Elem, int kPlan>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  void* to = a.add == nullptr ? a.dx : exec.workspace + own_workspace<Elem, Direction::kBackwardData, kPlan>(p);
  cudnn_convolve(problem_of<Elem>(Direction::kBackwardData, p), kPlan, to, exec.packed, a.dy, exec.workspace, exec.stream);
  if (a.add == nullptr) return;
  (sizeof(Elem) == 2 ? add_plain_bf16 : add_plain_fp32).run({input_size(p)}, {to, a.add, a.dx}, exec);
}

// ---------------------------------------------------------------------------------------------------- backward_weight

// The bias's sums reuse the memory.
template <class Elem, int kPlan>
size_t weight_workspace(const Conv2dProblem& p) {
  const size_t bias = column_sums_workspace(output_rows(p), p.out);
  const size_t own =
      own_workspace<Elem, Direction::kBackwardWeight, kPlan>(p) + (p.kernel == 1 ? 0 : sizeof(float) * static_cast<size_t>(weight_size(p)));
  return own > bias ? own : bias;
}
template <class Elem, int kPlan>
void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  float* behind = reinterpret_cast<float*>(exec.workspace + own_workspace<Elem, Direction::kBackwardWeight, kPlan>(p));
  float* to = p.kernel == 1 ? a.dweight : behind;
  cudnn_convolve(problem_of<Elem>(Direction::kBackwardWeight, p), kPlan, a.x, to, a.dy, exec.workspace, exec.stream);
  if (p.kernel != 1) {
    SIMT_LAUNCH(unpack_channels_last, blocks_of(weight_size(p)), kLanes, 0, exec.stream, static_cast<const float*>(to), a.dweight,
                weight_size(p), p.c / p.groups, p.kernel * p.kernel);
  }
  if (a.dbias != nullptr) bias_gradient<Elem>(a.dy, {}, output_rows(p), p.out, a.dbias, exec);
}

// ---------------------------------------------------------------------------------------------------- one candidate a plan

constexpr const char* kNames[kMostPlans] = {"cudnn", "cudnn:1", "cudnn:2", "cudnn:3", "cudnn:4", "cudnn:5", "cudnn:6", "cudnn:7"};

template <class Elem, int kPlan>
constexpr Conv2dForward kForward{kNames[kPlan],
                                 refuse<Elem, Direction::kForward, kPlan>,
                                 own_workspace<Elem, Direction::kForward, kPlan>,
                                 nullptr,
                                 forward<Elem, kPlan>,
                                 packed<Elem>,
                                 pack<Elem, Conv2dForwardArgs>};
template <class Elem, int kPlan>
constexpr Conv2dBackwardData kBackwardData{kNames[kPlan],
                                           refuse<Elem, Direction::kBackwardData, kPlan>,
                                           data_workspace<Elem, kPlan>,
                                           nullptr,
                                           backward_data<Elem, kPlan>,
                                           packed<Elem>,
                                           pack<Elem, Conv2dBackwardDataArgs>};
template <class Elem, int kPlan>
constexpr Conv2dBackwardWeight kBackwardWeight{kNames[kPlan], refuse<Elem, Direction::kBackwardWeight, kPlan>,
                                               weight_workspace<Elem, kPlan>, nullptr, backward_weight<Elem, kPlan>};

using Plans = std::make_integer_sequence<int, kMostPlans>;

template <class Elem, int... kPlan>
OpTable::List<Conv2dForward> forwards(std::integer_sequence<int, kPlan...>) {
  return {&kForward<Elem, kPlan>...};
}
template <class Elem, int... kPlan>
OpTable::List<Conv2dBackwardData> backward_datas(std::integer_sequence<int, kPlan...>) {
  return {&kBackwardData<Elem, kPlan>...};
}
template <class Elem, int... kPlan>
OpTable::List<Conv2dBackwardWeight> backward_weights(std::integer_sequence<int, kPlan...>) {
  return {&kBackwardWeight<Elem, kPlan>...};
}

}  // namespace

OpTable::List<Conv2dForward> conv2d_forward_cudnn(Precision precision) {
  return precision == Precision::kBf16 ? forwards<bf16>(Plans{}) : forwards<float>(Plans{});
}
OpTable::List<Conv2dBackwardData> conv2d_backward_data_cudnn(Precision precision) {
  return precision == Precision::kBf16 ? backward_datas<bf16>(Plans{}) : backward_datas<float>(Plans{});
}
OpTable::List<Conv2dBackwardWeight> conv2d_backward_weight_cudnn(Precision precision) {
  return precision == Precision::kBf16 ? backward_weights<bf16>(Plans{}) : backward_weights<float>(Plans{});
}

}  // namespace sknet::cuda
