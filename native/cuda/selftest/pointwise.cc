// relu, sigmoid, add, copy.
#include "cuda/kernels.h"
#include "cuda/selftest/rows.h"

namespace sknet::cuda::test_rows {
namespace {

constexpr int kSizes[] = {8, 1, 7, 2049, 4096};  // flat memory need not be whole vectors

template <class Elem>
Values flat_values(const Buffer<Elem>& buffer) {
  Values v;
  for (const Elem e : buffer.read()) v.push_back(to_f(e));
  return v;
}

template <class Elem>
Buffer<Elem> flat_buffer(const Values& v) {
  std::vector<Elem> memory(v.size());
  for (size_t i = 0; i < v.size(); ++i) narrow(v[i], memory[i]);
  return Buffer<Elem>(memory);
}

template <class F>
Values map(const Values& a, const Values& b, const F& f) {
  Values v(a.size());
  for (size_t i = 0; i < a.size(); ++i) v[i] = f(a[i], b[i]);
  return v;
}

SIMT_TEST(pointwise_ops) {
  in_both([]<class Elem>() {
    for (const int size : kSizes) {
      Numbers random(static_cast<uint32_t>(size));
      const Values a = random_rows<Elem>(random, size, 1), b = random_rows<Elem>(random, size, 1), c = random_rows<Elem>(random, size, 1);
      const auto on_a = flat_buffer<Elem>(a), on_b = flat_buffer<Elem>(b), on_c = flat_buffer<Elem>(c);
      const PointwiseProblem p{size};
      const double tolerance = elem_epsilon<Elem>();
      const auto forward = [&](const PointwiseForward& op, auto f, const char* what) {
        Buffer<Elem> y(static_cast<size_t>(size));
        run(op, p, PointwiseForwardArgs{on_a.device(), y.device()});
        expect_values(flat_values(y), map(a, a, [&](double x, double) { return f(x); }), tolerance, what);
      };
      const auto backward = [&](const PointwiseBackward& op, auto f, const char* what) {
        Buffer<Elem> dx(static_cast<size_t>(size));
        run(op, p, PointwiseBackwardArgs{on_a.device(), on_b.device(), dx.device(), nullptr});
        expect_values(flat_values(dx), map(a, b, f), tolerance, what);
        const Values sum = map(map(a, b, f), c, [](double x, double more) { return x + more; });
        const auto in_place = flat_buffer<Elem>(c);
        run(op, p, PointwiseBackwardArgs{on_a.device(), on_b.device(), in_place.device(), in_place.device()});
        expect_values(flat_values(in_place), sum, tolerance, std::string(what) + " added");
      };
      forward(pick<Elem>(relu_forward_plain_fp32, relu_forward_plain_bf16), [](double x) { return x > 0 ? x : 0; }, "relu");
      forward(
          pick<Elem>(sigmoid_forward_plain_fp32, sigmoid_forward_plain_bf16), [](double x) { return 1 / (1 + std::exp(-x)); }, "sigmoid");
      forward(pick<Elem>(copy_plain_fp32, copy_plain_bf16), [](double x) { return x; }, "copy");
      backward(
          pick<Elem>(relu_backward_plain_fp32, relu_backward_plain_bf16), [](double y, double dy) { return y > 0 ? dy : 0; },
          "relu gradient");
      backward(
          pick<Elem>(sigmoid_backward_plain_fp32, sigmoid_backward_plain_bf16), [](double y, double dy) { return dy * y * (1 - y); },
          "sigmoid gradient");
      Buffer<Elem> y(static_cast<size_t>(size));
      run(pick<Elem>(add_plain_fp32, add_plain_bf16), p, AddArgs{on_a.device(), on_b.device(), y.device()});
      expect_values(flat_values(y), map(a, b, [](double x, double z) { return x + z; }), tolerance, "add");
    }
  });
}

SIMT_TEST(relu_keeps_nan) {
  Buffer<float> x(std::vector<float>(8, NAN));
  Buffer<float> y(8);
  run(relu_forward_plain_fp32, {8}, PointwiseForwardArgs{x.device(), y.device()});
  for (const float v : y.read()) simt_test::expect(std::isnan(v), "NaN");
}

}  // namespace
}  // namespace sknet::cuda::test_rows
