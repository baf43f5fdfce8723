// batch_norm.
#include "cuda/kernels.h"
#include "cuda/selftest/rows.h"

namespace sknet::cuda::test_rows {
namespace {

// A batch norm's vectors on the device and as values.
struct Norm {
  Norm(Numbers& random, int c)
      : gamma(random_rows<float>(random, 1, c, 2)),
        beta(random_rows<float>(random, 1, c)),
        on_gamma(upload<float>(gamma, c)),
        on_beta(upload<float>(beta, c)),
        mean(room<float>(1, c)),
        invstd(room<float>(1, c)),
        scale(room<float>(1, c)),
        shift(room<float>(1, c)),
        batch_mean(room<float>(1, c)),
        batch_var(room<float>(1, c)),
        dgamma(room<float>(1, c)),
        dbeta(room<float>(1, c)),
        gain(room<float>(1, c)),
        slope(room<float>(1, c)),
        offset(room<float>(1, c)) {}
  Values gamma, beta;
  Buffer<float> on_gamma, on_beta, mean, invstd, scale, shift, batch_mean, batch_var, dgamma, dbeta, gain, slope, offset;
};

constexpr float kEps = 1e-5f;

template <class Elem>
void check_batch_norm(const Shape& s, bool residual) {
  const int rows = s.n * s.hw;
  const size_t c = static_cast<size_t>(s.c);
  Numbers random(11);
  Norm norm(random, s.c);
  // A mean far from zero against the spread, as far as the storage allows.
  const Values u = random_rows<Elem>(random, rows, s.c, sizeof(Elem) == 4 ? 100 : 3), other = random_rows<Elem>(random, rows, s.c),
               dy = random_rows<Elem>(random, rows, s.c), more = random_rows<Elem>(random, rows, s.c);
  Values mean(c), var(c), scale(c), shift(c);
  for (size_t i = 0; i < u.size(); ++i) mean[i % c] += u[i] / rows;
  for (size_t i = 0; i < u.size(); ++i) var[i % c] += (u[i] - mean[i % c]) * (u[i] - mean[i % c]) / rows;
  for (size_t i = 0; i < c; ++i) {
    scale[i] = norm.gamma[i] / std::sqrt(var[i] + kEps);
    shift[i] = norm.beta[i] - mean[i] * scale[i];
  }
  const BatchNormProblem p{s.n, s.hw, s.c};
  const auto on_u = upload<Elem>(u, s.c), on_other = upload<Elem>(other, s.c), on_dy = upload<Elem>(dy, s.c),
             on_more = upload<Elem>(more, s.c);
  run(pick<Elem>(batch_norm_statistics_plain_fp32, batch_norm_statistics_plain_bf16), p,
      {on_u.device(),
       {norm.on_gamma.device(), norm.on_beta.device(), kEps, norm.mean.device(), norm.invstd.device(), norm.scale.device(),
        norm.shift.device(), norm.batch_mean.device(), norm.batch_var.device()}});
  expect_values(download(norm.mean, s.c), mean, 0x1p-22, "mean of " + name_of(s));
  Values unbiased = var;
  for (double& v : unbiased) v *= static_cast<double>(rows) / (rows - 1);
  expect_values(download(norm.batch_var, s.c), unbiased, 1e-5, "variance of " + name_of(s));
  expect_values(download(norm.scale, s.c), scale, 1e-5, "scale of " + name_of(s));
  for (size_t i = c; i < static_cast<size_t>(padded_to_8(s.c)); ++i) simt_test::expect_equal(norm.scale.read()[i], 0.0f, "padded scale");

  const auto on_y = room<Elem>(rows, s.c);
  run(pick<Elem>(batch_norm_apply_plain_fp32, batch_norm_apply_plain_bf16), p,
      {on_u.device(), {norm.scale.device(), norm.shift.device()}, residual ? on_other.device() : nullptr, {}, true, on_y.device()});
  Values y(u.size());
  for (size_t i = 0; i < u.size(); ++i)
    y[i] = std::max(0.0, scale[i % c] * (u[i] - mean[i % c]) + norm.beta[i % c] + (residual ? other[i] : 0));
  // float32 keeps some 1e-5 of a mean of 100 against a spread of 1.
  const double tolerance = sizeof(Elem) == 4 ? 4e-5 : 0x1p-7;
  expect_values(download(on_y, s.c), y, tolerance, "y of " + name_of(s));

  // Gated by what is stored, so that reference and kernel agree which side of zero a number is on.
  const Values got_scale = download(norm.scale, s.c), got_shift = download(norm.shift, s.c), got_y = download(on_y, s.c);
  Values dz(u.size()), dbeta(c), dgamma(c), du(u.size());
  for (size_t i = 0; i < u.size(); ++i) {
    const float z = static_cast<float>(got_scale[i % c]) * static_cast<float>(u[i]) + static_cast<float>(got_shift[i % c]);
    dz[i] = (residual ? got_y[i] > 0 : z > 0) ? dy[i] + more[i] : 0;
    dbeta[i % c] += dz[i];
    dgamma[i % c] += dz[i] * (u[i] - mean[i % c]) / std::sqrt(var[i % c] + kEps);
  }
  for (size_t i = 0; i < u.size(); ++i) {
    const double xhat = (u[i] - mean[i % c]) / std::sqrt(var[i % c] + kEps);
    du[i] = scale[i % c] * (stored<Elem>(dz[i]) - dbeta[i % c] / rows - xhat * dgamma[i % c] / rows);
  }
  NormClose close{};
  close.u = on_u.device();
  close.relu = true;
  close.output = residual ? on_y.device() : nullptr;
  close.add = on_more.device();
  close.gamma = norm.on_gamma.device();
  close.mean = norm.mean.device();
  close.invstd = norm.invstd.device();
  close.scale = norm.scale.device();
  close.shift = norm.shift.device();
  close.dgamma = norm.dgamma.device();
  close.dbeta = norm.dbeta.device();
  close.gain = norm.gain.device();
  close.slope = norm.slope.device();
  close.offset = norm.offset.device();
  run(pick<Elem>(batch_norm_close_plain_fp32, batch_norm_close_plain_bf16), p, {on_dy.device(), close, on_dy.device()});
  expect_values(download(on_dy, s.c), dz, elem_epsilon<Elem>(), "dz of " + name_of(s));
  expect_values(download(norm.dbeta, s.c), dbeta, 1e-5, "dbeta of " + name_of(s));
  expect_values(download(norm.dgamma, s.c), dgamma, 1e-4, "dgamma of " + name_of(s));
  run(pick<Elem>(batch_norm_gradient_plain_fp32, batch_norm_gradient_plain_bf16), p,
      {on_dy.device(), {on_u.device(), norm.mean.device(), norm.gain.device(), norm.slope.device(), norm.offset.device()}, on_dy.device()});
  // Of two rows du is next to nothing: what rounding leaves.
  if (rows > 2) expect_values(download(on_dy, s.c), du, sizeof(Elem) == 4 ? 1e-4 : 0x1p-7, "du of " + name_of(s));
}

SIMT_TEST(batch_norm) {
  in_both([]<class Elem>() {
    for (const Shape& s : shapes()) {
      check_batch_norm<Elem>(s, false);
      check_batch_norm<Elem>(s, true);
    }
  });
}

SIMT_TEST(batch_norm_fold) {
  constexpr int kChannels = 11;
  Numbers random(12);
  Norm norm(random, kChannels);
  const Values mean = random_rows<float>(random, 1, kChannels), var = random_rows<float>(random, 1, kChannels, 2);
  const auto on_mean = upload<float>(mean, kChannels), on_var = upload<float>(var, kChannels);
  run(batch_norm_fold_channels, {1, 1, kChannels},
      {norm.on_gamma.device(), norm.on_beta.device(), on_mean.device(), on_var.device(), kEps, norm.scale.device(), norm.shift.device()});
  Values scale(kChannels), shift(kChannels);
  for (size_t i = 0; i < kChannels; ++i) {
    scale[i] = norm.gamma[i] / std::sqrt(var[i] + kEps);
    shift[i] = norm.beta[i] - mean[i] * scale[i];
  }
  expect_values(download(norm.scale, kChannels), scale, 0x1p-22, "scale");
  expect_values(download(norm.shift, kChannels), shift, 0x1p-22, "shift");
}

}  // namespace
}  // namespace sknet::cuda::test_rows
