// conv2d's candidates against float64 loops, with every combination of what they do for their neighbours.
#pragma once

#include "cuda/selftest/reference.h"

namespace sknet::cuda::test {

struct Geometry {
  int n, h, w, c, out, kernel, stride, padding, dilation, groups;
  Conv2dProblem problem(const Conv2dFusion& fusion) const {
    return {n,
            h,
            w,
            c,
            out,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            conv2d_out_size(h, kernel, stride, padding, dilation),
            conv2d_out_size(w, kernel, stride, padding, dilation),
            fusion};
  }
};

// The branches of an SK unit, and what its output is.
template <class Elem>
struct UnitBranches {
  std::vector<Activation<Elem>> u;
  std::vector<Vector> scale, shift;
  int images, pixels, channels;  // pixels: of an image
  bool attended;                 // or a plain sum
  std::vector<float> attention;  // [M, n, C], zeros in the padding
  Buffer<float> attention_memory;
  UnitBranches(const Conv2dProblem& p, bool attended, Numbers* n)
      : images(p.n), pixels(p.h * p.w), channels(p.c), attended(attended), attention(weights(p, n)), attention_memory(attention) {
    for (int m = 0; m < p.fusion.x_branches; ++m) {
      u.emplace_back(p.n * p.h * p.w, p.c, n);
      scale.emplace_back(p.c, n, 1.0f, 0.3f);
      shift.emplace_back(p.c, n, 0.0f, 0.3f);
    }
  }
  static std::vector<float> weights(const Conv2dProblem& p, Numbers* n) {
    const int width = padded_to_8(p.c), count = p.fusion.x_branches * p.n * width;
    std::vector<float> all(static_cast<size_t>(count > 0 ? count : 1), 0.0f);
    for (int i = 0; i < count; ++i) {
      if (i % width < p.c) all[static_cast<size_t>(i)] = 0.5f + 0.4f * n->next();
    }
    return all;
  }
  Selection args() const {
    Selection s;
    for (size_t m = 0; m < u.size(); ++m) {
      s.u[m] = u[m].device();
      s.scale[m] = scale[m].device();
      s.shift[m] = shift[m].device();
    }
    s.attention = attended ? attention_memory.device() : nullptr;
    return s;
  }
  double at(int pixel, int c) const {
    double v = 0;
    for (size_t m = 0; m < u.size(); ++m) {
      const size_t row = m * static_cast<size_t>(images) + static_cast<size_t>(pixel / pixels);
      const double weight = !attended ? 1 : attention[row * static_cast<size_t>(padded_to_8(channels)) + static_cast<size_t>(c)];
      v += weight * std::max(0.0, scale[m][c] * u[m].at(pixel, c) + shift[m][c]);
    }
    return v;
  }
};

// x as the convolution reads it: blocked or as float32 rows, as it is or through a norm, or made of an SK unit's branches.
template <class Elem>
struct Input {
  Activation<Elem> x;
  std::vector<float> rows;
  Buffer<float> rows_memory;
  Vector scale, shift;
  UnitBranches<Elem> unit;
  Conv2dFusion fusion;
  int channels;
  Input(const Conv2dProblem& p, Numbers* n, float mean, bool attended)
      : x(p.n * p.h * p.w, p.c, n, mean),
        rows(random_rows(p, n)),
        rows_memory(rows),
        scale(p.c, n, 1, 0.3f),
        shift(p.c, n, 0, 0.3f),
        unit(p, attended, n),
        fusion(p.fusion),
        channels(p.c) {}
  static std::vector<float> random_rows(const Conv2dProblem& p, Numbers* n) {
    std::vector<float> all(static_cast<size_t>(p.n * p.h * p.w * p.c));
    for (float& v : all) v = n->next();
    return all;
  }
  const void* device() const {
    if (fusion.x_branches > 0) return nullptr;
    return fusion.x_rows ? static_cast<const void*>(rows_memory.device()) : x.device();
  }
  Normalize norm() const { return fusion.x_norm ? Normalize{scale.device(), shift.device(), true} : Normalize{}; }
  double at(int pixel, int c) const {
    if (fusion.x_rows) return rounded<Elem>(rows[static_cast<size_t>(pixel * channels + c)]);
    if (fusion.x_branches > 0) return rounded<Elem>(unit.at(pixel, c));
    if (!fusion.x_norm) return x.at(pixel, c);
    const double z = scale[c] * x.at(pixel, c) + shift[c];
    return rounded<Elem>(z > 0 ? z : 0);
  }
};

// dy as the convolution reads it.
template <class Elem>
struct Gradient {
  Activation<Elem> dy, u;
  Vector mean, gain, slope, offset;
  bool norm;
  Gradient(const Conv2dProblem& p, Numbers* n)
      : dy(p.n * p.oh * p.ow, p.out, n),
        u(p.n * p.oh * p.ow, p.out, n, 1),
        mean(p.out, n, 1, 0.1f),
        gain(p.out, n, 1, 0.2f),
        slope(p.out, n, 0, 0.1f),
        offset(p.out, n, 0, 0.1f),
        norm(p.fusion.dy_norm) {}
  NormGradient args() const {
    return norm ? NormGradient{u.device(), mean.device(), gain.device(), slope.device(), offset.device()} : NormGradient{};
  }
  double at(int pixel, int o) const {
    const double v = dy.at(pixel, o);
    return norm ? rounded<Elem>(gain[o] * v + slope[o] * (u.at(pixel, o) - mean[o]) - offset[o]) : v;
  }
};

template <class Elem>
void check_forward(const Conv2dForward& candidate, const Geometry& geometry, const Conv2dFusion& fusion, bool with_bias, float mean = 0,
                   bool attended = true) {
  const Conv2dProblem p = geometry.problem(fusion);
  Numbers numbers(static_cast<uint32_t>(p.c * 7 + p.out));
  const int pixels = p.n * p.oh * p.ow;
  const Input<Elem> x(p, &numbers, mean, attended);
  const Vector weight(weight_count(p), &numbers, 0, 0.5f), bias(p.out, &numbers, 0, 1), scale(p.out, &numbers, 1, 0.3f),
      shift(p.out, &numbers, 0, 0.3f);
  const Activation<Elem> residual(pixels, p.out, &numbers);
  Activation<Elem> y(pixels, p.out, nullptr);
  StatisticsResult statistics(p.out, &numbers);
  Conv2dForwardArgs a{x.device(), x.norm(), weight.device(), with_bias ? bias.device() : nullptr, y.device(), {},
                      {},         nullptr,  x.unit.args()};
  if (fusion.statistics) a.statistics = statistics.args();
  if (fusion.y_norm) a.y_norm = {scale.device(), shift.device(), true};
  if (fusion.y_norm && with_bias) a.residual = residual.device();
  if (!run(candidate, p, a)) return;

  std::vector<double> exact(static_cast<size_t>(pixels * p.out), 0.0);
  const auto value = [&](int pixel, int o) -> double& { return exact[static_cast<size_t>(pixel * p.out + o)]; };
  for_products(p, [&](int out_pixel, int o, int pixel, int c, int w) { value(out_pixel, o) += x.at(pixel, c) * rounded<Elem>(weight[w]); });
  for (int i = 0; with_bias && i < pixels * p.out; ++i) value(i / p.out, i % p.out) += bias[i % p.out];
  const std::string what = describe(p) + " forward";
  y.fetch();
  Error error;
  for (int pixel = 0; pixel < pixels; ++pixel) {
    for (int o = 0; o < y.padded(); ++o) {
      double v = o < p.out ? value(pixel, o) : 0;
      if (fusion.y_norm && o < p.out) {
        v = scale[o] * v + shift[o] + (with_bias ? residual.at(pixel, o) : 0);
        v = v > 0 ? v : 0;
      }
      error.add(y.at(pixel, o), v);
    }
  }
  error.expect_below(kTolerance<Elem>, what);
  if (fusion.statistics) statistics.expect(pixels, p.out, value, what);
}

// add: 0 nothing, 1 another tensor, 2 dx itself.
template <class Elem>
void check_backward_data(const Conv2dBackwardData& candidate, const Geometry& geometry, const Conv2dFusion& fusion, int add, bool by_output,
                         bool relu = true) {
  const Conv2dProblem p = geometry.problem(fusion);
  Numbers numbers(static_cast<uint32_t>(p.c * 5 + p.out));
  const int pixels = p.n * p.h * p.w;
  const Gradient<Elem> dy(p, &numbers);
  const Vector weight(weight_count(p), &numbers, 0, 0.5f);
  const Activation<Elem> other(pixels, p.c, &numbers);
  Activation<Elem> dx(pixels, p.c, add == 2 ? &numbers : nullptr);
  CloseResult<Elem> close(pixels, p.c, &numbers, relu, by_output);
  const void* added = add == 0 ? nullptr : add == 1 ? other.device() : dx.device();
  Conv2dBackwardDataArgs a{dy.dy.device(), dy.args(), weight.device(), dx.device(), nullptr, {}};
  if (fusion.close) {
    a.close = close.args(added);
  } else {
    a.add = added;
  }
  std::vector<double> exact(static_cast<size_t>(pixels * p.c), 0.0);
  const auto value = [&](int pixel, int c) -> double& { return exact[static_cast<size_t>(pixel * p.c + c)]; };
  for (int i = 0; add != 0 && i < pixels * p.c; ++i)
    value(i / p.c, i % p.c) = add == 1 ? other.at(i / p.c, i % p.c) : dx.at(i / p.c, i % p.c);
  if (!run(candidate, p, a)) return;

  for_products(p,
               [&](int out_pixel, int o, int pixel, int c, int w) { value(pixel, c) += dy.at(out_pixel, o) * rounded<Elem>(weight[w]); });
  const std::string what = describe(p) + " backward data";
  dx.fetch();
  Error error;
  for (int pixel = 0; pixel < pixels; ++pixel) {
    for (int c = 0; c < p.c; ++c) {
      if (fusion.close && !close.open(pixel, c)) value(pixel, c) = 0;
      error.add(dx.at(pixel, c), value(pixel, c));
    }
    for (int c = p.c; c < dx.padded(); ++c) simt_test::expect(std::isfinite(dx.at(pixel, c)), what + " padding");
  }
  error.expect_below(kTolerance<Elem>, what);
  if (fusion.close) close.expect(value, sizeof(Elem) == 2 ? 4e-3 : 1e-5, what);
}

template <class Elem>
void check_backward_weight(const Conv2dBackwardWeight& candidate, const Geometry& geometry, const Conv2dFusion& fusion, bool with_bias,
                           bool attended = true) {
  const Conv2dProblem p = geometry.problem(fusion);
  Numbers numbers(static_cast<uint32_t>(p.c * 3 + p.out));
  const Input<Elem> x(p, &numbers, 0, attended);
  const Gradient<Elem> dy(p, &numbers);
  Vector dweight(weight_count(p), nullptr), dbias(p.out, nullptr);
  if (!run(candidate, p,
           Conv2dBackwardWeightArgs{x.device(), x.norm(), dy.dy.device(), dy.args(), dweight.device(), with_bias ? dbias.device() : nullptr,
                                    x.unit.args()})) {
    return;
  }
  std::vector<double> exact(static_cast<size_t>(weight_count(p)), 0.0), bias(static_cast<size_t>(p.out), 0.0);
  for_products(
      p, [&](int out_pixel, int o, int pixel, int c, int w) { exact[static_cast<size_t>(w)] += dy.at(out_pixel, o) * x.at(pixel, c); });
  for (int i = 0; i < p.n * p.oh * p.ow * p.out; ++i) bias[static_cast<size_t>(i % p.out)] += dy.at(i / p.out, i % p.out);
  const std::string what = describe(p) + " backward weight";
  dweight.fetch();
  Error error;
  for (int i = 0; i < weight_count(p); ++i) error.add(dweight[i], exact[static_cast<size_t>(i)]);
  error.expect_below(sizeof(Elem) == 2 ? 2e-3 : 5e-6, what);
  if (!with_bias) return;
  dbias.fetch();
  Error bias_error;
  for (int o = 0; o < p.out; ++o) bias_error.add(dbias[o], bias[static_cast<size_t>(o)]);
  bias_error.expect_below(sizeof(Elem) == 2 ? 4e-3 : 5e-6, what + " bias");
}

struct Conv2dCandidates {
  const Conv2dForward& forward;
  const Conv2dBackwardData& data;
  const Conv2dBackwardWeight& weight;
};

// All fusions of one shape; `number` varies what has no need of all combinations.
template <class Elem>
void check_conv2d(const Conv2dCandidates& c, const Geometry& g, int number) {
  const bool several = g.n * conv2d_out_size(g.h, g.kernel, g.stride, g.padding, g.dilation) *
                           conv2d_out_size(g.w, g.kernel, g.stride, g.padding, g.dilation) >
                       1;
  check_forward<Elem>(c.forward, g, {}, number % 2 == 1);
  check_forward<Elem>(c.forward, g, {.x_norm = true, .statistics = several}, number % 4 > 1);
  // A mean of 30 is far from zero against what varies around it.
  check_forward<Elem>(c.forward, g, {.statistics = several}, false, number % 3 == 1 ? 30.0f : 0.0f);
  check_forward<Elem>(c.forward, g, {.y_norm = true}, false);
  check_forward<Elem>(c.forward, g, {.x_norm = true, .y_norm = true}, true);
  check_backward_data<Elem>(c.data, g, {}, number % 3, false);
  check_backward_data<Elem>(c.data, g, {.close = true}, (number + 1) % 3, number % 2 == 1);
  check_backward_data<Elem>(c.data, g, {.dy_norm = true}, (number + 2) % 3, false);
  check_backward_data<Elem>(c.data, g, {.dy_norm = true, .close = true}, number % 3, number % 2 == 0, number % 4 != 3);
  check_backward_weight<Elem>(c.weight, g, {}, true);
  check_backward_weight<Elem>(c.weight, g, {.x_norm = true}, false);
  check_backward_weight<Elem>(c.weight, g, {.dy_norm = true}, true);
  check_backward_weight<Elem>(c.weight, g, {.x_norm = true, .dy_norm = true}, false);
}

// The same, reading the branches of an SK unit.
template <class Elem>
void check_selected(const Conv2dCandidates& c, const Geometry& g) {
  const bool several = g.problem({}).oh * g.problem({}).ow * g.n > 1;
  for (int branches = 1; branches <= kMaxBranches; ++branches) {
    for (const bool attended : {true, false}) {
      check_forward<Elem>(c.forward, g, {.x_branches = branches}, true, 0, attended);
      check_forward<Elem>(c.forward, g, {.x_branches = branches, .statistics = several}, false, 0, attended);
      check_forward<Elem>(c.forward, g, {.x_branches = branches, .y_norm = true}, true, 0, attended);
      check_backward_weight<Elem>(c.weight, g, {.x_branches = branches}, true, attended);
      check_backward_weight<Elem>(c.weight, g, {.x_branches = branches, .dy_norm = true}, false, attended);
    }
  }
}

}  // namespace sknet::cuda::test
