// reduce_norm and trust_ratio.
#include "cuda/selftest/rows.h"
#include "cuda/update_flat.h"

namespace sknet::cuda::test_rows {
namespace {

// More than a launch lists, at offsets and of sizes that are no whole vectors; a tensor in several segments; gaps that do not count.
struct Flat {
  Flat() {
    int64_t at = 0;
    for (int i = 0; i < 260; ++i) {
      const int64_t size = i == 100 ? 40001 : 1 + i * 7 % 23;
      segments.push_back({at, size, 0.01f, 1, i / 3});
      at += size + i % 3;
    }
    for (int64_t i = 0; i < at; ++i) {
      value.push_back(random.next());
      gradient.push_back(random.next());
    }
  }
  double squares(const std::vector<float>& of, int segment) const {
    double sum = 0;
    const SgdSegment& s = segments[static_cast<size_t>(segment)];
    for (int64_t i = s.offset; i < s.offset + s.size; ++i) {
      const double v = of[static_cast<size_t>(i)];
      sum += v * v;
    }
    return sum;
  }
  int count() const { return static_cast<int>(segments.size()); }

  Numbers random{31};
  std::vector<SgdSegment> segments;
  std::vector<float> value, gradient;
};

SIMT_TEST(reduce_norm) {
  const Flat flat;
  double squares = 0;
  for (int i = 0; i < flat.count(); ++i) squares += flat.squares(flat.gradient, i);
  const Buffer<float> x(flat.gradient), loss(std::vector<float>{1});
  const Buffer<UpdateControl> control(std::vector<UpdateControl>(1));
  run(reduce_norm_flat, {flat.segments.data(), flat.count(), 0.5}, {x.device(), loss.device(), control.device()});
  const UpdateControl got = control.read()[0];
  simt_test::expect_near(got.gradient_norm, std::sqrt(squares), 1e-12 * std::sqrt(squares), "norm");
  simt_test::expect_near(got.gradient_scale, 0.5 / std::sqrt(squares), 1e-6, "scale");
  simt_test::expect_equal(got.live, 1, "live");
}

SIMT_TEST(trust_ratio) {
  const Flat flat;
  const int tensors = flat.segments.back().tensor + 1;
  const std::vector<char> scaled(static_cast<size_t>(tensors), 1);
  const Buffer<float> value(flat.value), gradient(flat.gradient), trust(static_cast<size_t>(tensors));
  const Buffer<UpdateControl> control(std::vector<UpdateControl>(1));
  run(trust_ratio_flat, {flat.segments.data(), flat.count(), scaled.data(), tensors, 0.02f},
      {value.device(), gradient.device(), trust.device(), control.device()});
  Values w(static_cast<size_t>(tensors)), g(w), expected(w);
  for (int i = 0; i < flat.count(); ++i) {
    const size_t tensor = static_cast<size_t>(flat.segments[static_cast<size_t>(i)].tensor);
    w[tensor] += flat.squares(flat.value, i);
    g[tensor] += flat.squares(flat.gradient, i);
  }
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = 0.02 * std::sqrt(w[i]) / (std::sqrt(g[i]) + 0.01 * std::sqrt(w[i]));
  const auto got = trust.read();
  expect_values({got.begin(), got.end()}, expected, 1e-6, "trust");
}

}  // namespace
}  // namespace sknet::cuda::test_rows
