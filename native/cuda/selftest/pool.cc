// global_avg_pool, channel_scale and max_pool.
#include "cuda/kernels.h"
#include "cuda/selftest/rows.h"
#include "ops/conv2d.h"

namespace sknet::cuda::test_rows {
namespace {

size_t at(int64_t row, int c, int i) { return static_cast<size_t>(row * c + i); }

template <class F>
void for_elements(const Shape& s, const F& f) {
  for (int n = 0; n < s.n; ++n) {
    for (int p = 0; p < s.hw; ++p) {
      for (int i = 0; i < s.c; ++i) f(at(static_cast<int64_t>(n) * s.hw + p, s.c, i), at(n, s.c, i));
    }
  }
}

SIMT_TEST(global_avg_pool) {
  in_both([]<class Elem>() {
    for (const Shape& s : shapes()) {
      Numbers random(5);
      const Values x = random_rows<Elem>(random, s.n * s.hw, s.c), dy = random_rows<Elem>(random, s.n, s.c);
      Values y(dy.size()), dx(x.size());
      for_elements(s, [&](size_t pixel, size_t mean) {
        y[mean] += x[pixel] / s.hw;
        dx[pixel] = x[pixel] + dy[mean] / s.hw;
      });
      const GlobalAvgPoolProblem p{s.n, s.hw, s.c};
      const auto on_x = upload<Elem>(x, s.c), on_dy = upload<Elem>(dy, s.c);
      const auto on_y = room<Elem>(s.n, s.c);
      run(pick<Elem>(global_avg_pool_forward_plain_fp32, global_avg_pool_forward_plain_bf16), p, {on_x.device(), on_y.device()});
      expect_values(download(on_y, s.c), y, elem_epsilon<Elem>(), "y of " + name_of(s));
      run(pick<Elem>(global_avg_pool_backward_plain_fp32, global_avg_pool_backward_plain_bf16), p,
          {on_dy.device(), on_x.device(), on_x.device()});
      expect_values(download(on_x, s.c), dx, elem_epsilon<Elem>(), "dx of " + name_of(s));
    }
  });
}

SIMT_TEST(channel_scale) {
  in_both([]<class Elem>() {
    for (const Shape& s : shapes()) {
      Numbers random(6);
      const Values x = random_rows<Elem>(random, s.n * s.hw, s.c), dy = random_rows<Elem>(random, s.n * s.hw, s.c),
                   gate = random_rows<Elem>(random, s.n, s.c), add = random_rows<Elem>(random, s.n * s.hw, s.c),
                   add_gate = random_rows<Elem>(random, s.n, s.c);
      Values y(x.size()), dx(x.size()), dgate = add_gate;
      for_elements(s, [&](size_t pixel, size_t image) {
        y[pixel] = x[pixel] * gate[image];
        dx[pixel] = dy[pixel] * gate[image] + add[pixel];
        dgate[image] += dy[pixel] * x[pixel];
      });
      const ChannelScaleProblem p{s.n, s.hw, s.c};
      const auto on_x = upload<Elem>(x, s.c), on_dy = upload<Elem>(dy, s.c), on_gate = upload<Elem>(gate, s.c),
                 on_add = upload<Elem>(add, s.c), on_add_gate = upload<Elem>(add_gate, s.c);
      const auto on_y = room<Elem>(s.n * s.hw, s.c), on_dgate = room<Elem>(s.n, s.c);
      run(pick<Elem>(channel_scale_forward_plain_fp32, channel_scale_forward_plain_bf16), p,
          {on_x.device(), on_gate.device(), on_y.device()});
      expect_values(download(on_y, s.c), y, elem_epsilon<Elem>(), "y of " + name_of(s));
      run(pick<Elem>(channel_scale_backward_plain_fp32, channel_scale_backward_plain_bf16), p,
          {on_x.device(), on_gate.device(), on_dy.device(), on_dy.device(), on_dgate.device(), on_add.device(), on_add_gate.device()});
      expect_values(download(on_dy, s.c), dx, elem_epsilon<Elem>(), "dx of " + name_of(s));
      // Sums of hundreds of products that cancel.
      expect_values(download(on_dgate, s.c), dgate, 8 * elem_epsilon<Elem>(), "dgate of " + name_of(s));
    }
  });
}

struct PoolShape {
  int n, h, w, c, kernel, stride, padding;
};

template <class Elem>
void check_max_pool(const PoolShape& s, bool norm) {
  const int oh = conv2d_out_size(s.h, s.kernel, s.stride, s.padding, 1), ow = conv2d_out_size(s.w, s.kernel, s.stride, s.padding, 1);
  const MaxPoolProblem p{s.n, s.h, s.w, s.c, s.kernel, s.stride, s.padding, oh, ow};
  Numbers random(7);
  Values x = random_rows<Elem>(random, s.n * s.h * s.w, s.c), scale(static_cast<size_t>(s.c)), shift(scale), seen(x);
  for (double& v : x) v = std::round(v * 4) / 4;  // many equal ones
  const Values dy = random_rows<Elem>(random, s.n * oh * ow, s.c), add = random_rows<Elem>(random, s.n * s.h * s.w, s.c);
  for (size_t i = 0; i < scale.size(); ++i) {
    scale[i] = 0.5 * static_cast<double>(1 + i % 3) * (i % 2 == 0 ? 1 : -1);
    shift[i] = 0.25 * static_cast<double>(i % 4);
  }
  // Products of such numbers are exact in bfloat16.
  for (size_t i = 0; i < x.size(); ++i) seen[i] = norm ? std::max(0.0, scale[i % scale.size()] * x[i] + shift[i % scale.size()]) : x[i];
  Values y(dy.size()), dx = add;
  for (int n = 0; n < s.n; ++n) {
    for (int i = 0; i < oh * ow * s.c; ++i) {
      const int c = i % s.c, w0 = i / s.c % ow * s.stride - s.padding, h0 = i / s.c / ow * s.stride - s.padding;
      size_t best = ~size_t{0};
      for (int h = std::max(0, h0); h < std::min(s.h, h0 + s.kernel); ++h) {
        for (int w = std::max(0, w0); w < std::min(s.w, w0 + s.kernel); ++w) {
          const size_t pixel = at((static_cast<int64_t>(n) * s.h + h) * s.w + w, s.c, c);
          if (best == ~size_t{0} || seen[pixel] > seen[best]) best = pixel;
        }
      }
      const size_t out = static_cast<size_t>(n * oh * ow * s.c + i);
      y[out] = seen[best];
      dx[best] += dy[out];
    }
  }
  const auto on_x = upload<Elem>(x, s.c), on_dy = upload<Elem>(dy, s.c), on_add = upload<Elem>(add, s.c);
  const auto on_scale = upload<float>(scale, s.c), on_shift = upload<float>(shift, s.c);
  const auto on_y = room<Elem>(s.n * oh * ow, s.c);
  const Normalize x_norm = norm ? Normalize{on_scale.device(), on_shift.device(), true} : Normalize{};
  run(pick<Elem>(max_pool_forward_plain_fp32, max_pool_forward_plain_bf16), p, {on_x.device(), x_norm, on_y.device()});
  expect_values(download(on_y, s.c), y, 0, "y");
  run(pick<Elem>(max_pool_backward_plain_fp32, max_pool_backward_plain_bf16), p,
      {on_x.device(), x_norm, on_y.device(), on_dy.device(), on_add.device(), on_add.device()});
  const int windows = std::max(1, s.kernel / s.stride);  // that share a pixel, along an axis
  expect_values(download(on_add, s.c), dx, windows * elem_epsilon<Elem>(), "dx");
}

SIMT_TEST(max_pool) {
  in_both([]<class Elem>() {
    for (const PoolShape& s : {PoolShape{2, 9, 7, 24, 3, 2, 1},
                               {1, 8, 8, 3, 2, 2, 0},
                               {1, 5, 6, 70, 3, 1, 1},
                               {1, 7, 7, 8, 2, 3, 0},
                               {1, 9, 8, 5, 5, 1, 2},
                               {1, 20, 19, 4, 17, 2, 8}}) {  // more places in a window than a byte can tell
      check_max_pool<Elem>(s, false);
      check_max_pool<Elem>(s, true);
    }
  });
}

}  // namespace
}  // namespace sknet::cuda::test_rows
