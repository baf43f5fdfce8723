// relu, sigmoid, add and copy on the CPU, over flat pieces.
#include "ops/pointwise.h"

#include <cmath>

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/row_chunks.h"

namespace sknet::cpu {
namespace {

// f(offset, lanes) for every vector of [0, size).
template <class F>
void for_vectors(int64_t size, const Exec& exec, const F& f) {
  parallel_for(*exec.pool, flat_chunks(size), [&](int64_t chunk, int) {
    const int64_t last = min_of(size, (chunk + 1) * kChunkFloats);
    for (int64_t at = chunk * kChunkFloats; at < last; at += kLanes) f(at, static_cast<int>(min_of<int64_t>(kLanes, last - at)));
  });
}

void relu_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  for_vectors(p.size, exec, [&](int64_t at, int lanes) { store_part(a.y + at, relu(load_part(a.x + at, lanes)), lanes); });
}

void relu_backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec) {
  for_vectors(p.size, exec, [&](int64_t at, int lanes) {
    const Vec dx = where_positive(load_part(a.y + at, lanes), load_part(a.dy + at, lanes));
    store_part(a.dx + at, a.accumulate ? load_part(a.dx + at, lanes) + dx : dx, lanes);
  });
}

void sigmoid_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, flat_chunks(p.size), [&](int64_t chunk, int) {
    for (int64_t i = chunk * kChunkFloats; i < min_of(p.size, (chunk + 1) * kChunkFloats); ++i) a.y[i] = 1.0f / (1.0f + std::exp(-a.x[i]));
  });
}

void sigmoid_backward(const PointwiseProblem& p, const PointwiseBackwardArgs& a, const Exec& exec) {
  for_vectors(p.size, exec, [&](int64_t at, int lanes) {
    const Vec y = load_part(a.y + at, lanes), dx = load_part(a.dy + at, lanes) * y * (1.0f - y);
    store_part(a.dx + at, a.accumulate ? load_part(a.dx + at, lanes) + dx : dx, lanes);
  });
}

void add_forward(const PointwiseProblem& p, const AddArgs& a, const Exec& exec) {
  for_vectors(p.size, exec,
              [&](int64_t at, int lanes) { store_part(a.y + at, load_part(a.a + at, lanes) + load_part(a.b + at, lanes), lanes); });
}

void copy_forward(const PointwiseProblem& p, const PointwiseForwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, flat_chunks(p.size), [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunkFloats;
    copy_floats(a.y + first, a.x + first, min_of(p.size - first, kChunkFloats));
  });
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
