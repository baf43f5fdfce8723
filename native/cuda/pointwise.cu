// relu, sigmoid, add and copy: a lane has 16 bytes; what is left behind the last whole 16 is done one by one.
#include "cuda/chunk.h"
#include "cuda/elem.h"
#include "cuda/kernels.h"
#include "ops/pointwise.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;

// y = f(a, b); a null b gives zeros. y = f(a, b) + add where there is one.
template <class Elem, class F>
__global__ void __launch_bounds__(kLanes) flat(const Elem* a, const Elem* b, const Elem* add, Elem* y, int64_t size, F f) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x) * kChunk<Elem>;
  if (at + kChunk<Elem> <= size) {
    float u[kChunk<Elem>], v[kChunk<Elem>] = {}, w[kChunk<Elem>] = {};
    load_chunk(a + at, u);
    if (b != nullptr) load_chunk(b + at, v);
    if (add != nullptr) load_chunk(add + at, w);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) u[q] = f(u[q], v[q]) + w[q];
    store_chunk(y + at, u);
    return;
  }
  for (int64_t i = at; i < size; ++i) {
    const float value = f(to_f(a[i]), b == nullptr ? 0.0f : to_f(b[i])) + (add == nullptr ? 0.0f : to_f(add[i]));
    from_f(value, y[i]);
  }
}

template <class Elem, class F>
void launch(int64_t size, const void* a, const void* b, const void* add, void* y, const Exec& exec, F f) {
  if (size == 0) return;
  const int64_t chunks = (size + kChunk<Elem> - 1) / kChunk<Elem>;
  SIMT_LAUNCH((flat<Elem, F>), static_cast<unsigned>((chunks + kLanes - 1) / kLanes), kLanes, 0, exec.stream, static_cast<const Elem*>(a),
              static_cast<const Elem*>(b), static_cast<const Elem*>(add), static_cast<Elem*>(y), size, f);
}

struct Relu {
  __device__ float operator()(float x, float) const { return relu(x); }
};
struct ReluGradient {
  __device__ float operator()(float y, float dy) const { return y > 0 ? dy : 0.0f; }
};
struct Sigmoid {
  __device__ float operator()(float x, float) const { return 1.0f / (1.0f + expf(-x)); }
};
struct SigmoidGradient {
  __device__ float operator()(float y, float dy) const { return dy * y * (1.0f - y); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Same {
  __device__ float operator()(float x, float) const { return x; }
};

template <class Elem, class F>
void forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  launch<Elem>(p.size, a.x, nullptr, nullptr, a.y, exec, F{});
}
template <class Elem, class F>
void backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec) {
  launch<Elem>(p.size, a.y, a.dy, a.add, a.dx, exec, F{});
}
template <class Elem>
void add(const PointwiseProblem& p, const AddArgs& a, const Exec& exec) {
  launch<Elem>(p.size, a.a, a.b, nullptr, a.y, exec, Sum{});
}

}  // namespace

#define SKNET_FLAT(elem, suffix)                                                                                               \
  const PointwiseForward relu_forward_plain_##suffix{"flat", nullptr, nullptr, nullptr, forward<elem, Relu>};                  \
  const PointwiseBackward relu_backward_plain_##suffix{"flat", nullptr, nullptr, nullptr, backward<elem, ReluGradient>};       \
  const PointwiseForward sigmoid_forward_plain_##suffix{"flat", nullptr, nullptr, nullptr, forward<elem, Sigmoid>};            \
  const PointwiseBackward sigmoid_backward_plain_##suffix{"flat", nullptr, nullptr, nullptr, backward<elem, SigmoidGradient>}; \
  const PointwiseForward copy_plain_##suffix{"flat", nullptr, nullptr, nullptr, forward<elem, Same>};                          \
  const Add add_plain_##suffix{"flat", nullptr, nullptr, nullptr, add<elem>};
SKNET_FLAT(float, fp32)
SKNET_FLAT(bf16, bf16)
#undef SKNET_FLAT

}  // namespace sknet::cuda
