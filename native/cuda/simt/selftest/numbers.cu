// bf16 and fp16: every value survives, halves round to even, on the host and in kernels alike.
#include <cmath>

#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

constexpr int kAll = 1 << 16;

__global__ void round_trip(uint16_t* as_bf16, uint16_t* as_fp16, float* widened) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const bf16 b{static_cast<uint16_t>(i)};
  const fp16 f{static_cast<uint16_t>(i)};
  as_bf16[i] = to_bf(to_f(b)).x;
  as_fp16[i] = to_fp16(to_f(f)).x;
  widened[i] = to_f(f);
}

SIMT_TEST(numbers_survive) {
  Buffer<uint16_t> as_bf16(kAll), as_fp16(kAll);
  Buffer<float> widened(kAll);
  SIMT_LAUNCH(round_trip, kAll / 256, 256, 0, 0, as_bf16.device(), as_fp16.device(), widened.device());
  const auto b = as_bf16.read(), f = as_fp16.read();
  const auto w = widened.read();
  for (int i = 0; i < kAll; ++i) {
    const bool bf16_nan = (i & 0x7fff) > 0x7f80, fp16_nan = (i & 0x7fff) > 0x7c00;
    expect_equal(b[i], bf16_nan ? 0x7fff : i, "bf16 " + std::to_string(i));
    expect_equal(f[i], fp16_nan ? 0x7fff : i, "fp16 " + std::to_string(i));
    const int exponent = i >> 10 & 31, fraction = i & 1023;
    const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                             : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                              : std::ldexp(1024 + fraction, exponent - 25);
    if (!fp16_nan) expect_equal(w[i], i & 0x8000 ? -magnitude : magnitude, "value of fp16 " + std::to_string(i));
  }
}

__global__ void round(const float* x, uint16_t* as_bf16, uint16_t* as_fp16, uint32_t* pairs, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  as_bf16[i] = to_bf(x[i]).x;
  as_fp16[i] = to_fp16(x[i]).x;
  pairs[i] = pack_bf(x[i], -x[i]) ^ pack_fp16(x[i], -x[i]);
}

// The neighbour that is nearer, of two equally near the even one.
uint16_t nearest(double x, const std::function<double(uint16_t)>& value, uint16_t infinity) {
  const double magnitude = std::fabs(x);
  uint16_t low = 0, high = infinity;
  while (high - low > 1) {
    const uint16_t middle = static_cast<uint16_t>((low + high) / 2);
    (value(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - value(low), above = value(high) - magnitude;
  const uint16_t rounded = below < above || (below == above && low % 2 == 0) ? low : high;
  return static_cast<uint16_t>(rounded | (std::signbit(x) ? 0x8000 : 0));
}

SIMT_TEST(numbers_round_to_nearest_even) {
  Numbers random(1);
  std::vector<float> x = {0.0f,  -0.0f,         1.00390625f, 1.01171875f,   65504.0f, 65519.0f, 65520.0f,
                          1e30f, 3.3895314e38f, 6e-8f,       2.9802322e-8f, 2.98e-8f, 5.9e-5f,  INFINITY};
  for (int i = 0; i < 4000; ++i) x.push_back(random.next() * std::exp2(random.next() * 30));
  for (int i = 0; i < 1000; ++i) x.push_back(static_cast<float>(2 * i + 1) / 2048.0f + 1.0f);  // halfway in fp16
  const int n = static_cast<int>(x.size());
  Buffer<float> input(x);
  Buffer<uint16_t> as_bf16(x.size()), as_fp16(x.size());
  Buffer<uint32_t> pairs(x.size());
  SIMT_LAUNCH(round, (n + 127) / 128, 128, 0, 0, input.device(), as_bf16.device(), as_fp16.device(), pairs.device(), n);
  const auto b = as_bf16.read(), f = as_fp16.read();
  const auto p = pairs.read();
  // What follows the largest number counts as its next step, as IEEE rounding has it.
  const auto bf16_value = [](uint16_t v) { return v == 0x7f80 ? 0x1p128 : static_cast<double>(to_f(bf16{v})); };
  const auto fp16_value = [](uint16_t v) { return v == 0x7c00 ? 65536.0 : static_cast<double>(to_f(fp16{v})); };
  for (int i = 0; i < n; ++i) {
    expect_equal(b[i], nearest(x[i], bf16_value, 0x7f80), "bf16 of " + std::to_string(x[i]));
    expect_equal(f[i], nearest(x[i], fp16_value, 0x7c00), "fp16 of " + std::to_string(x[i]));
    expect_equal(p[i], (b[i] ^ f[i]) * 0x10001u, "pair of " + std::to_string(x[i]));
  }
}

}  // namespace
