// sk_split's candidates against float64 loops.
#include <deque>

#include "cuda/selftest/reference.h"
#include "cuda/sk_split_grouped.h"
#include "cuda/sk_split_octets.h"

namespace sknet::cuda::test {
namespace {

struct Branch {
  int kernel, dilation;
};
struct Unit {
  int n, h, w, c, groups, stride;
  std::vector<Branch> branches;
  SkSplitProblem problem(bool x_norm, bool close) const {
    SkSplitProblem p{};
    p.branches = static_cast<int>(branches.size());
    p.x_norm = x_norm;
    p.close = close;
    for (int m = 0; m < p.branches; ++m) {
      const auto [kernel, dilation] = branches[static_cast<size_t>(m)];
      const int padding = dilation * (kernel - 1) / 2;
      p.conv[m] = {n,
                   h,
                   w,
                   c,
                   c,
                   kernel,
                   stride,
                   padding,
                   dilation,
                   groups,
                   conv2d_out_size(h, kernel, stride, padding, dilation),
                   conv2d_out_size(w, kernel, stride, padding, dilation)};
    }
    return p;
  }
};

struct Case {
  bool x_norm, statistics, close, attention, dx;
  int add;  // 0 nothing, 1 another tensor, 2 dx itself
};

template <class Elem>
struct Setup {
  const SkSplitProblem p;
  const Case c;
  const Conv2dProblem& conv;
  Numbers numbers;
  const int in_pixels, out_pixels, channels, padded;
  Activation<Elem> x;
  Vector x_scale, x_shift;
  std::deque<Vector> weight;

  Setup(const Unit& unit, const Case& c)
      : p(unit.problem(c.x_norm, c.close)),
        c(c),
        conv(p.conv[0]),
        numbers(static_cast<uint32_t>(unit.c + unit.h)),
        in_pixels(conv.n * conv.h * conv.w),
        out_pixels(conv.n * conv.oh * conv.ow),
        channels(conv.c),
        padded(padded_to_8(conv.c)),
        x(in_pixels, channels, &numbers),
        x_scale(channels, &numbers, 1, 0.3f),
        x_shift(channels, &numbers, 0, 0.3f) {
    for (int m = 0; m < p.branches; ++m) weight.emplace_back(weight_count(p.conv[m]), &numbers, 0, 0.5f);
  }
  double x_at(int pixel, int channel) const {
    if (!c.x_norm) return x.at(pixel, channel);
    const double z = x_scale[channel] * x.at(pixel, channel) + x_shift[channel];
    return rounded<Elem>(z > 0 ? z : 0);
  }
  Normalize norm() const { return c.x_norm ? Normalize{x_scale.device(), x_shift.device(), true} : Normalize{}; }
  std::string what() const { return describe(conv) + " x " + std::to_string(p.branches); }
};

template <class Elem>
void check_forward(const SkSplitForward& candidate, const Unit& unit, const Case& c) {
  Setup<Elem> s(unit, c);
  SkSplitForwardArgs a{};
  a.x = s.x.device();
  a.x_norm = s.norm();
  std::deque<Activation<Elem>> u;
  std::deque<StatisticsResult> statistics;
  for (int m = 0; m < s.p.branches; ++m) {
    a.weight[m] = s.weight[static_cast<size_t>(m)].device();
    a.u[m] = u.emplace_back(s.out_pixels, s.channels, nullptr).device();
    statistics.emplace_back(s.channels, &s.numbers);
    if (c.statistics) a.statistics[m] = statistics.back().args();
  }
  if (!run(candidate, s.p, a)) return;
  for (int m = 0; m < s.p.branches; ++m) {
    const size_t at = static_cast<size_t>(m);
    std::vector<double> exact(static_cast<size_t>(s.out_pixels * s.channels), 0.0);
    const auto value = [&](int pixel, int o) -> double& { return exact[static_cast<size_t>(pixel * s.channels + o)]; };
    for_products(s.p.conv[m],
                 [&](int out, int o, int in, int i, int w) { value(out, o) += s.x_at(in, i) * rounded<Elem>(s.weight[at][w]); });
    u[at].fetch();
    Error error;
    for (int pixel = 0; pixel < s.out_pixels; ++pixel) {
      for (int o = 0; o < s.padded; ++o) error.add(u[at].at(pixel, o), o < s.channels ? value(pixel, o) : 0);
    }
    error.expect_below(kTolerance<Elem>, s.what() + " forward");
    if (c.statistics) statistics[at].expect(s.out_pixels, s.channels, value, s.what());
  }
}

// What the forward and sk_select_backward leave of one branch, and the exact gradient that follows.
template <class Elem>
struct ExactBranch {
  Activation<Elem> u;
  Vector gamma, beta, mean, invstd, scale, shift, dweight, dgamma, dbeta;
  std::vector<double> du, exact_dweight, exact_dgamma, exact_dbeta;
  ExactBranch(Setup<Elem>& s, int m)
      : u(s.out_pixels, s.channels, &s.numbers, 0.3f),
        gamma(s.channels, &s.numbers, 1, 0.3f),
        beta(s.channels, &s.numbers, 0, 0.5f),
        mean(channel_means(s)),
        invstd(channel_invstds(s)),
        scale(per_channel(s, [&](int c) { return gamma[c] * invstd[c]; })),
        shift(per_channel(s, [&](int c) { return beta[c] - mean[c] * scale[c]; })),
        dweight(weight_count(s.p.conv[m]), nullptr),
        dgamma(s.channels, nullptr),
        dbeta(s.channels, nullptr) {}

  template <class F>
  static std::vector<float> per_channel(const Setup<Elem>& s, const F& f) {
    std::vector<float> all(static_cast<size_t>(s.padded), 0.0f);
    for (int c = 0; c < s.channels; ++c) all[static_cast<size_t>(c)] = static_cast<float>(f(c));
    return all;
  }
  std::vector<float> channel_means(const Setup<Elem>& s) const {
    return per_channel(s, [&](int c) {
      double sum = 0;
      for (int pixel = 0; pixel < s.out_pixels; ++pixel) sum += u.at(pixel, c);
      return sum / s.out_pixels;
    });
  }
  std::vector<float> channel_invstds(const Setup<Elem>& s) const {
    return per_channel(s, [&](int c) {
      double squares = 0;
      for (int pixel = 0; pixel < s.out_pixels; ++pixel) squares += (u.at(pixel, c) - mean[c]) * (u.at(pixel, c) - mean[c]);
      return 1 / std::sqrt(squares / s.out_pixels + 1e-5);
    });
  }
  // z > 0 as the kernels see it.
  bool open(int pixel, int c) const { return static_cast<float>(scale[c] * static_cast<float>(u.at(pixel, c)) + shift[c]) > 0; }

  void derive(const Setup<Elem>& s, int m, const std::vector<double>& dz) {
    const double rows = s.out_pixels;
    du.resize(dz.size());
    for (int c = 0; c < s.channels; ++c) {
      double sum = 0, dot = 0;
      for (int pixel = 0; pixel < s.out_pixels; ++pixel) {
        const double v = dz[static_cast<size_t>(pixel * s.channels + c)];
        sum += v;
        dot += v * (u.at(pixel, c) - mean[c]);
      }
      const double g = gamma[c] * static_cast<double>(invstd[c]);
      exact_dbeta.push_back(sum);
      exact_dgamma.push_back(dot * invstd[c]);
      for (int pixel = 0; pixel < s.out_pixels; ++pixel) {
        const size_t i = static_cast<size_t>(pixel * s.channels + c);
        du[i] = rounded<Elem>(g * dz[i] - g * invstd[c] * invstd[c] * dot / rows * (u.at(pixel, c) - mean[c]) - g * sum / rows);
      }
    }
    exact_dweight.assign(static_cast<size_t>(weight_count(s.p.conv[m])), 0.0);
    for_products(s.p.conv[m], [&](int out, int o, int in, int i, int w) {
      exact_dweight[static_cast<size_t>(w)] += du[static_cast<size_t>(out * s.channels + o)] * s.x_at(in, i);
    });
  }
  void expect(const std::string& what) {
    Error errors[3];
    for (Vector* v : {&dweight, &dgamma, &dbeta}) v->fetch();
    for (size_t i = 0; i < exact_dweight.size(); ++i) errors[0].add(dweight[static_cast<int>(i)], exact_dweight[i]);
    for (size_t c = 0; c < exact_dgamma.size(); ++c) {
      errors[1].add(dgamma[static_cast<int>(c)], exact_dgamma[c]);
      errors[2].add(dbeta[static_cast<int>(c)], exact_dbeta[c]);
    }
    errors[0].expect_below(sizeof(Elem) == 2 ? 3e-3 : 6e-6, what + " dweight");
    errors[1].expect_below(1e-5, what + " dgamma");
    errors[2].expect_below(1e-5, what + " dbeta");
  }
};

template <class Elem>
void check_backward(const SkSplitBackward& candidate, const Unit& unit, const Case& c) {
  Setup<Elem> s(unit, c);
  const int hw = s.conv.oh * s.conv.ow, n = s.conv.n;
  const size_t sums = static_cast<size_t>(s.p.branches * n * s.padded);
  const Activation<Elem> dv(s.out_pixels, s.channels, &s.numbers), other(s.in_pixels, s.channels, &s.numbers);
  Activation<Elem> dx(s.in_pixels, s.channels, c.add == 2 ? &s.numbers : nullptr);
  CloseResult<Elem> close(s.in_pixels, s.channels, &s.numbers, true, false);
  std::vector<float> attention(sums, 1.0f);
  std::vector<double> ds(static_cast<size_t>(n * s.padded), 0.0), mask(sums, 0.0), mask_u(sums, 0.0), dv_mask(sums, 0.0),
      dv_mask_u(sums, 0.0);
  for (float& v : attention) v = c.attention ? 0.5f + 0.3f * s.numbers.next() : 1.0f;
  for (double& v : ds) v = c.attention ? s.numbers.next() * 0.05 * hw : 0;
  std::deque<ExactBranch<Elem>> branches;
  for (int m = 0; m < s.p.branches; ++m) {
    ExactBranch<Elem>& b = branches.emplace_back(s, m);
    std::vector<double> dz(static_cast<size_t>(s.out_pixels * s.channels));
    for (int pixel = 0; pixel < s.out_pixels; ++pixel) {
      for (int o = 0; o < s.channels; ++o) {
        if (!b.open(pixel, o)) continue;
        const size_t i = static_cast<size_t>((m * n + pixel / hw) * s.padded + o);
        mask[i] += 1;
        mask_u[i] += b.u.at(pixel, o);
        dv_mask[i] += dv.at(pixel, o);
        dv_mask_u[i] += dv.at(pixel, o) * b.u.at(pixel, o);
        dz[static_cast<size_t>(pixel * s.channels + o)] =
            attention[i] * dv.at(pixel, o) + ds[static_cast<size_t>(pixel / hw * s.padded + o)] / hw;
      }
    }
    b.derive(s, m, dz);
  }
  const Vector attention_memory(attention);
  const Buffer<double> ds_memory(ds), mask_memory(mask), mask_u_memory(mask_u), dv_mask_memory(dv_mask), dv_mask_u_memory(dv_mask_u);
  const void* added = c.add == 0 ? nullptr : c.add == 1 ? other.device() : dx.device();
  SkSplitBackwardArgs a{};
  a.x = s.x.device();
  a.x_norm = s.norm();
  for (int m = 0; m < s.p.branches; ++m) {
    const ExactBranch<Elem>& b = branches[static_cast<size_t>(m)];
    a.weight[m] = s.weight[static_cast<size_t>(m)].device();
    a.gamma[m] = b.gamma.device();
    a.u[m] = b.u.device();
    a.scale[m] = b.scale.device();
    a.shift[m] = b.shift.device();
    a.mean[m] = b.mean.device();
    a.invstd[m] = b.invstd.device();
    a.dweight[m] = b.dweight.device();
    a.dgamma[m] = b.dgamma.device();
    a.dbeta[m] = b.dbeta.device();
  }
  a.dv = dv.device();
  if (c.attention) {
    a.attention = attention_memory.device();
    a.ds = ds_memory.device();
    a.mask = mask_memory.device();
    a.mask_u = mask_u_memory.device();
  }
  a.dv_mask = dv_mask_memory.device();
  a.dv_mask_u = dv_mask_u_memory.device();
  a.dx = c.dx ? dx.device() : nullptr;
  if (c.close) {
    a.close = close.args(added);
  } else {
    a.add = added;
  }
  std::vector<double> exact(static_cast<size_t>(s.in_pixels * s.channels), 0.0);
  const auto value = [&](int pixel, int i) -> double& { return exact[static_cast<size_t>(pixel * s.channels + i)]; };
  for (int i = 0; c.add != 0 && i < s.in_pixels * s.channels; ++i) {
    value(i / s.channels, i % s.channels) = c.add == 1 ? other.at(i / s.channels, i % s.channels) : dx.at(i / s.channels, i % s.channels);
  }
  if (!run(candidate, s.p, a)) return;
  const std::string what = s.what() + " backward";
  for (int m = 0; m < s.p.branches; ++m) {
    branches[static_cast<size_t>(m)].expect(what);
    for_products(s.p.conv[m], [&](int out, int o, int in, int i, int w) {
      value(in, i) += branches[static_cast<size_t>(m)].du[static_cast<size_t>(out * s.channels + o)] *
                      rounded<Elem>(s.weight[static_cast<size_t>(m)][w]);
    });
  }
  if (!c.dx) return;
  dx.fetch();
  Error error;
  for (int pixel = 0; pixel < s.in_pixels; ++pixel) {
    for (int i = 0; i < s.channels; ++i) {
      if (c.close && !close.open(pixel, i)) value(pixel, i) = 0;
      error.add(dx.at(pixel, i), value(pixel, i));
    }
    for (int i = s.channels; i < s.padded; ++i) simt_test::expect(std::isfinite(dx.at(pixel, i)), what + " padding");
  }
  error.expect_below(kTolerance<Elem>, what);
  if (c.close) close.expect(value, sizeof(Elem) == 2 ? 4e-3 : 1e-5, what);
}

std::vector<Unit> units() {
  std::vector<Unit> all;
  for (const auto& [width, groups] : {std::pair{4, 8}, {8, 4}, {16, 2}, {16, 3}, {32, 2}, {1, 20}, {2, 12}, {64, 2}}) {
    for (const int stride : {1, 2}) all.push_back({2, 9, 11 - stride, width * groups, groups, stride, {{3, 1}, {3, 2}}});
  }
  all.push_back({1, 7, 7, 128, 32, 1, {{3, 1}, {3, 2}}});
  all.push_back({3, 14, 19, 24, 6, 1, {{3, 1}}});
  all.push_back({2, 8, 17, 32, 8, 1, {{3, 1}, {3, 2}, {3, 3}}});
  all.push_back({2, 9, 8, 32, 8, 1, {{3, 1}, {5, 1}, {7, 1}, {3, 3}}});
  all.push_back({1, 10, 9, 16, 4, 2, {{1, 1}, {3, 1}, {5, 1}}});
  all.push_back({2, 20, 35, 72, 18, 1, {{3, 1}, {5, 2}}});
  all.push_back({5, 1, 2, 8, 2, 1, {{3, 1}, {3, 2}}});
  all.push_back({270, 8, 9, 8, 2, 1, {{3, 1}, {3, 2}}});  // more tiles than blocks
  all.push_back({450, 3, 4, 16, 4, 1, {{3, 1}, {3, 2}}});
  all.push_back({3, 17, 35, 48, 3, 1, {{3, 1}, {3, 2}}});
  all.push_back({2, 14, 14, 40, 5, 1, {{3, 2}, {3, 1}}});
  all.push_back({2, 17, 18, 24, 3, 2, {{3, 1}, {3, 2}}});
  all.push_back({2, 33, 19, 40, 10, 2, {{3, 2}, {3, 1}}});
  all.push_back({1, 18, 31, 48, 3, 2, {{3, 2}, {3, 2}}});
  all.push_back({3, 14, 14, 96, 3, 2, {{3, 1}, {3, 2}}});
  all.push_back({2, 7, 15, 96, 3, 1, {{3, 1}, {3, 1}}});
  all.push_back({410, 3, 5, 16, 4, 2, {{3, 1}, {3, 2}}});
  all.push_back({410, 2, 3, 32, 2, 2, {{3, 1}, {3, 2}}});
  all.push_back({410, 2, 3, 64, 2, 1, {{3, 1}, {3, 2}}});
  return all;
}

// Every unit in three of the cases.
template <class F>
void for_cases(const F& f) {
  int i = 0;
  for (const Unit& unit : units()) {
    ++i;
    f(unit, Case{true, true, true, true, true, i % 3});
    f(unit, Case{false, i % 2 == 1, false, i % 4 > 1, true, (i + 1) % 3});
    f(unit, Case{i % 2 == 1, false, true, i % 4 < 2, i % 5 != 0, (i + 2) % 3});
  }
}

template <class Elem>
void check_all(const SkSplitForward& candidate) {
  for_cases([&](const Unit& unit, const Case& c) { check_forward<Elem>(candidate, unit, c); });
}
template <class Elem>
void check_all(const SkSplitBackward& candidate) {
  for_cases([&](const Unit& unit, const Case& c) { check_backward<Elem>(candidate, unit, c); });
}

SIMT_TEST(split_forward_bf16) { check_all<bf16>(sk_split_forward_grouped_bf16); }
SIMT_TEST(split_forward_octets_bf16) { check_all<bf16>(sk_split_forward_octets_bf16); }
SIMT_TEST(split_forward_fp32) { check_all<float>(sk_split_forward_grouped_fp32); }
SIMT_TEST(split_backward_bf16) { check_all<bf16>(sk_split_backward_grouped_bf16); }
SIMT_TEST(split_backward_octets_bf16) { check_all<bf16>(sk_split_backward_octets_bf16); }
SIMT_TEST(split_backward_fp32) { check_all<float>(sk_split_backward_grouped_fp32); }
SIMT_TEST(split_backward_fused_bf16) { check_all<bf16>(sk_split_backward_fused_bf16); }
SIMT_TEST(split_backward_fused_fp32) { check_all<float>(sk_split_backward_fused_fp32); }

SIMT_TEST(split_refuses) {
  const auto expect_refused = [](const auto& candidate, const Unit& unit) {
    simt_test::expect(candidate.refuse(unit.problem(true, true)) != nullptr, "accepts " + describe(unit.problem(true, true).conv[0]));
  };
  const Unit dense{1, 8, 9, 8, 1, 1, {{3, 1}, {3, 2}}}, strided{1, 8, 18, 8, 2, 2, {{3, 1}, {3, 2}}},
      narrow{1, 8, 8, 8, 2, 1, {{3, 1}, {3, 2}}};
  expect_refused(sk_split_forward_grouped_bf16, dense);
  expect_refused(sk_split_backward_grouped_bf16, dense);
  expect_refused(sk_split_backward_fused_bf16, strided);
  expect_refused(sk_split_backward_fused_bf16, narrow);
  for (const Unit& unit :
       {Unit{1, 8, 8, 128, 2, 1, {{3, 1}, {3, 2}}}, Unit{1, 8, 8, 8, 2, 3, {{3, 1}, {3, 2}}}, Unit{1, 8, 8, 8, 2, 1, {{3, 1}, {5, 1}}},
        Unit{1, 8, 8, 8, 2, 2, {{3, 1}, {3, 3}}}, Unit{1, 8, 8, 8, 2, 2, {{3, 1}}}, Unit{1, 8, 8, 8, 2, 2, {{3, 1}, {3, 2}, {3, 2}}}}) {
    expect_refused(sk_split_forward_octets_bf16, unit);
    expect_refused(sk_split_backward_octets_bf16, unit);
  }
  SkSplitProblem uneven = narrow.problem(true, true);
  uneven.conv[1].groups = 4;
  simt_test::expect(sk_split_forward_grouped_fp32.refuse(uneven) != nullptr, "branches of unequal groups");
}

}  // namespace
}  // namespace sknet::cuda::test
