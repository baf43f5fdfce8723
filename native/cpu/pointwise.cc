// relu, sigmoid, add and copy on the CPU, over flat pieces.
#include "ops/pointwise.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

Elem* out(void* p) { return static_cast<Elem*>(p); }
const Elem* in(const void* p) { return static_cast<const Elem*>(p); }

// y = f(a, b) for every vector of [0, size); a null b gives zeros.
template <class F>
void for_vectors(int64_t size, const void* a, const void* b, void* y, const Exec& exec, const F& f) {
  const Elem* first = in(a);
  const Elem* second = in(b);
  Elem* result = out(y);
  parallel_for(*exec.pool, flat_chunks(size), [&](int64_t chunk, int) {
    const int64_t last = min_of(size, (chunk + 1) * kChunkFloats);
    int64_t at = chunk * kChunkFloats;
    if (second == nullptr) {
      for (; at + kLanes <= last; at += kLanes) store(result + at, f(load(first + at), Vec{}));
    } else {
      for (; at + kLanes <= last; at += kLanes) store(result + at, f(load(first + at), load(second + at)));
    }
    if (at == last) return;
    const int lanes = static_cast<int>(last - at);
    store_part(result + at, f(load_part(first + at, lanes), second == nullptr ? Vec{} : load_part(second + at, lanes)), lanes);
  });
}

// dx = f(y, dy) + add.
template <class F>
void backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec, const F& f) {
  if (a.add == nullptr) return for_vectors(p.size, a.y, a.dy, a.dx, exec, f);
  const Elem* y = in(a.y);
  const Elem* dy = in(a.dy);
  const Elem* add = in(a.add);
  Elem* dx = out(a.dx);
  parallel_for(*exec.pool, flat_chunks(p.size), [&](int64_t chunk, int) {
    const int64_t last = min_of(p.size, (chunk + 1) * kChunkFloats);
    int64_t at = chunk * kChunkFloats;
    for (; at + kLanes <= last; at += kLanes) store(dx + at, load(add + at) + f(load(y + at), load(dy + at)));
    if (at == last) return;
    const int lanes = static_cast<int>(last - at);
    store_part(dx + at, load_part(add + at, lanes) + f(load_part(y + at, lanes), load_part(dy + at, lanes)), lanes);
  });
}

void relu_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  for_vectors(p.size, a.x, nullptr, a.y, exec, [](Vec x, Vec) { return relu(x); });
}

void relu_backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec) {
  backward(p, a, exec, [](Vec y, Vec dy) { return where_positive(y, dy); });
}

void sigmoid_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  for_vectors(p.size, a.x, nullptr, a.y, exec, [](Vec x, Vec) {
    float lanes[kLanes];
    store(lanes, x);
    for (int i = 0; i < kLanes; ++i) lanes[i] = 1.0f / (1.0f + std::exp(-lanes[i]));
    return load(lanes);
  });
}

void sigmoid_backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec) {
  backward(p, a, exec, [](Vec y, Vec dy) { return dy * y * (1.0f - y); });
}

void add_forward(const PointwiseProblem& p, const AddArgs& a, const Exec& exec) {
  for_vectors(p.size, a.a, a.b, a.y, exec, [](Vec x, Vec y) { return x + y; });
}

void copy_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  for_vectors(p.size, a.x, nullptr, a.y, exec, [](Vec x, Vec) { return x; });
}

}  // namespace

namespace SKNET_ISA {

const PointwiseForward relu_forward_plain{"flat", nullptr, nullptr, nullptr, relu_forward};
const PointwiseBackward relu_backward_plain{"flat", nullptr, nullptr, nullptr, relu_backward};
const PointwiseForward sigmoid_forward_plain{"flat", nullptr, nullptr, nullptr, sigmoid_forward};
const PointwiseBackward sigmoid_backward_plain{"flat", nullptr, nullptr, nullptr, sigmoid_backward};
const PointwiseForward copy_plain{"flat", nullptr, nullptr, nullptr, copy_forward};
const Add add_plain{"flat", nullptr, nullptr, nullptr, add_forward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
