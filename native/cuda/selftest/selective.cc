// sk_fuse, sk_attention and sk_select.
#include "cuda/kernels.h"
#include "cuda/selftest/rows.h"

namespace sknet::cuda::test_rows {
namespace {

template <class Elem>
struct Unit {
  Unit(Numbers& random, const Shape& s, int branches) : shape(s), branches(branches) {
    for (int m = 0; m < branches; ++m) {
      u.push_back(random_rows<Elem>(random, s.n * s.hw, s.c));
      scale.push_back(random_rows<float>(random, 1, s.c));
      shift.push_back(random_rows<float>(random, 1, s.c));
      on_u.push_back(std::make_unique<Buffer<Elem>>(upload<Elem>(u.back(), s.c)));
      on_scale.push_back(std::make_unique<Buffer<float>>(upload<float>(scale.back(), s.c)));
      on_shift.push_back(std::make_unique<Buffer<float>>(upload<float>(shift.back(), s.c)));
    }
  }
  // In float32, as the kernel sees which side of zero it is on.
  double z(int m, size_t i) const {
    const size_t c = i % static_cast<size_t>(shape.c), b = static_cast<size_t>(m);
    return std::fma(static_cast<float>(scale[b][c]), static_cast<float>(u[b][i]), static_cast<float>(shift[b][c]));
  }
  template <class Args>
  void bind(Args& a) const {
    for (size_t m = 0; m < u.size(); ++m) {
      a.u[m] = on_u[m]->device();
      a.scale[m] = on_scale[m]->device();
      a.shift[m] = on_shift[m]->device();
    }
  }
  size_t image_channel(size_t i) const {
    const size_t c = static_cast<size_t>(shape.c);
    return i / c / static_cast<size_t>(shape.hw) * c + i % c;
  }
  size_t image_channels() const { return static_cast<size_t>(shape.n * shape.c); }

  Shape shape;
  int branches;
  std::vector<Values> u, scale, shift;
  std::vector<std::unique_ptr<Buffer<Elem>>> on_u;
  std::vector<std::unique_ptr<Buffer<float>>> on_scale, on_shift;
};

SIMT_TEST(sk_fuse) {
  in_both([]<class Elem>() {
    for (int branches = 1; branches <= 4; ++branches) {
      for (const Shape& s : shapes()) {
        Numbers random(21);
        const Unit<Elem> unit(random, s, branches);
        Values pooled(unit.image_channels()), mask(pooled.size() * static_cast<size_t>(branches)), mask_u(mask);
        for (int m = 0; m < branches; ++m) {
          for (size_t i = 0; i < unit.u[0].size(); ++i) {
            const size_t at = static_cast<size_t>(m) * pooled.size() + unit.image_channel(i);
            if (!(unit.z(m, i) > 0)) continue;
            pooled[unit.image_channel(i)] += unit.z(m, i) / s.hw;
            mask[at] += 1;
            mask_u[at] += unit.u[static_cast<size_t>(m)][i];
          }
        }
        const auto on_s = room<double>(s.n, s.c), on_mask = room<double>(branches * s.n, s.c),
                   on_mask_u = room<double>(branches * s.n, s.c);
        SkFuseForwardArgs a{};
        unit.bind(a);
        a.s = on_s.device();
        const auto& op = pick<Elem>(sk_fuse_forward_plain_fp32, sk_fuse_forward_plain_bf16);
        run(op, {branches, s.n, s.hw, s.c}, a);
        expect_values(download(on_s, s.c), pooled, 1e-6, "s in inference, " + name_of(s));
        a.mask = on_mask.device();
        a.mask_u = on_mask_u.device();
        run(op, {branches, s.n, s.hw, s.c}, a);
        expect_values(download(on_s, s.c), pooled, 1e-6, "s of " + name_of(s));
        expect_values(download(on_mask, s.c), mask, 0, "mask of " + name_of(s));
        expect_values(download(on_mask_u, s.c), mask_u, 1e-6, "mask u of " + name_of(s));
      }
    }
  });
}

SIMT_TEST(sk_select) {
  in_both([]<class Elem>() {
    for (int branches = 1; branches <= 4; ++branches) {
      for (const Shape& s : shapes()) {
        Numbers random(22);
        const Unit<Elem> unit(random, s, branches);
        const Values attention = random_rows<float>(random, branches * s.n, s.c), dv = random_rows<Elem>(random, s.n * s.hw, s.c);
        const auto on_attention = upload<float>(attention, s.c);
        const auto on_dv = upload<Elem>(dv, s.c);
        for (const bool attended : {true, false}) {
          Values v(dv.size());
          for (size_t i = 0; i < v.size(); ++i) {
            for (int m = 0; m < branches; ++m) {
              const double weight = attended ? attention[static_cast<size_t>(m) * unit.image_channels() + unit.image_channel(i)] : 1;
              v[i] += weight * std::max(0.0, unit.z(m, i));
            }
          }
          const auto on_v = room<Elem>(s.n * s.hw, s.c);
          SkSelectForwardArgs a{};
          unit.bind(a);
          a.attention = attended ? on_attention.device() : nullptr;
          a.v = on_v.device();
          run(pick<Elem>(sk_select_forward_plain_fp32, sk_select_forward_plain_bf16), {branches, s.n, s.hw, s.c}, a);
          expect_values(download(on_v, s.c), v, sizeof(Elem) == 4 ? 0x1p-20 : 0x1p-8, "v of " + name_of(s));
        }
        Values mask(unit.image_channels() * static_cast<size_t>(branches)), mask_u(mask);
        for (int m = 0; m < branches; ++m) {
          for (size_t i = 0; i < dv.size(); ++i) {
            if (!(unit.z(m, i) > 0)) continue;
            const size_t at = static_cast<size_t>(m) * unit.image_channels() + unit.image_channel(i);
            mask[at] += dv[i];
            mask_u[at] += dv[i] * unit.u[static_cast<size_t>(m)][i];
          }
        }
        const auto on_mask = room<double>(branches * s.n, s.c), on_mask_u = room<double>(branches * s.n, s.c);
        SkSelectBackwardArgs a{};
        unit.bind(a);
        a.dv = on_dv.device();
        a.dv_mask = on_mask.device();
        a.dv_mask_u = on_mask_u.device();
        run(pick<Elem>(sk_select_backward_plain_fp32, sk_select_backward_plain_bf16), {branches, s.n, s.hw, s.c}, a);
        expect_values(download(on_mask, s.c), mask, 1e-6, "mask of " + name_of(s));
        expect_values(download(on_mask_u, s.c), mask_u, 1e-6, "mask u of " + name_of(s));
      }
    }
  });
}

// Flat values, without padding.
template <class T>
Values read_flat(const Buffer<T>& buffer) {
  const auto memory = buffer.read();
  return {memory.begin(), memory.end()};
}
Buffer<float> flat(const Values& v) { return Buffer<float>(std::vector<float>(v.begin(), v.end())); }

// The network between fuse and select, in one place for both directions.
void check_attention(int branches, int n, int c, int d) {
  const SkAttentionProblem p{branches, n, c, d, 1e-5f};
  const size_t images = static_cast<size_t>(n), channels = static_cast<size_t>(c), features = static_cast<size_t>(d),
               all = static_cast<size_t>(branches) * images * channels;
  Numbers random(23);
  const Values s = random_rows<float>(random, n, c), reduce = random_rows<float>(random, d, c),
               select = random_rows<float>(random, branches * c, d), gamma = random_rows<float>(random, 1, d, 2),
               beta = random_rows<float>(random, 1, d), running_mean = random_rows<float>(random, 1, d),
               running_var = random_rows<float>(random, 1, d, 2), mask = random_rows<float>(random, branches * n, c),
               mask_u = random_rows<float>(random, branches * n, c);
  const auto on_s = upload<double>(s, c), on_mask = upload<double>(mask, c), on_mask_u = upload<double>(mask_u, c);
  const auto on_reduce = flat(reduce), on_select = flat(select), on_gamma = flat(gamma), on_beta = flat(beta),
             on_running_mean = flat(running_mean), on_running_var = flat(running_var);
  const Buffer<double> reduced(images * features), normed(images * features);
  const Buffer<float> batch_mean(features), batch_var(features);
  const auto on_attention = room<float>(branches * n, c);
  Values r(images * features), mean(features), var(features), q(r.size()), attention(all);
  for (size_t i = 0; i < r.size(); ++i) {
    for (size_t k = 0; k < channels; ++k) r[i] += s[i / features * channels + k] * reduce[i % features * channels + k];
  }
  for (const bool training : {false, true}) {
    for (size_t j = 0; j < features; ++j) {
      mean[j] = training ? 0 : running_mean[j];
      var[j] = training ? 0 : running_var[j];
      for (size_t i = 0; training && i < images; ++i) mean[j] += r[i * features + j] / n;
      for (size_t i = 0; training && i < images; ++i) var[j] += std::pow(r[i * features + j] - mean[j], 2) / n;
    }
    for (size_t i = 0; i < r.size(); ++i) {
      const size_t j = i % features;
      q[i] = std::max(0.0, gamma[j] * (r[i] - mean[j]) / std::sqrt(var[j] + p.eps) + beta[j]);
    }
    for (size_t i = 0; i < images * channels; ++i) {
      double sum = 0;
      for (size_t m = 0; m < static_cast<size_t>(branches); ++m) {
        double logit = 0;
        for (size_t k = 0; k < features; ++k)
          logit += q[i / channels * features + k] * select[(m * channels + i % channels) * features + k];
        sum += attention[m * images * channels + i] = std::exp(logit);
      }
      for (size_t m = 0; m < static_cast<size_t>(branches); ++m) attention[m * images * channels + i] /= sum;
    }
    SkAttentionForwardArgs a{
        on_s.device(), on_reduce.device(), on_gamma.device(), on_beta.device(),    on_select.device(), nullptr,
        nullptr,       reduced.device(),   normed.device(),   batch_mean.device(), batch_var.device(), on_attention.device()};
    if (!training) {
      a.running_mean = on_running_mean.device();
      a.running_var = on_running_var.device();
    }
    run(sk_attention_forward_products, p, a);
    expect_values(read_flat(reduced), r, 1e-12, "reduced");
    expect_values(read_flat(normed), q, 1e-10, "normed");
    expect_values(download(on_attention, c), attention, 1e-6, "attention");
    const auto memory = on_attention.read();
    for (size_t i = 0; i < memory.size(); ++i) {
      if (static_cast<int>(i) % padded_to_8(c) >= c) simt_test::expect_equal(memory[i], 0.0f, "padded attention");
    }
  }
  for (double& v : var) v *= static_cast<double>(n) / (n - 1);
  expect_values(read_flat(batch_mean), mean, 1e-6, "batch mean");
  expect_values(read_flat(batch_var), var, 1e-6, "batch variance");

  const Values scale = random_rows<float>(random, 1, c), shift = random_rows<float>(random, 1, c);
  const auto on_scale = upload<float>(scale, c), on_shift = upload<float>(shift, c);
  const Values kept = download(on_attention, c);
  Values dlogits(all), dselect(select.size()), dq(r.size()), dgamma(features), dbeta(features), dr(r.size()), dreduce(reduce.size()),
      ds(s.size());
  for (size_t i = 0; i < images * channels; ++i) {
    const auto da = [&](size_t at) { return scale[i % channels] * mask_u[at] + shift[i % channels] * mask[at]; };
    double dot = 0;
    for (size_t at = i; at < all; at += images * channels) dot += kept[at] * da(at);
    for (size_t at = i; at < all; at += images * channels) dlogits[at] = kept[at] * (da(at) - dot);
  }
  for (size_t at = 0; at < all; ++at) {
    const size_t m = at / (images * channels), image = at / channels % images, row = m * channels + at % channels;
    for (size_t k = 0; k < features; ++k) {
      dselect[row * features + k] += dlogits[at] * q[image * features + k];
      dq[image * features + k] += dlogits[at] * select[row * features + k];
    }
  }
  for (size_t j = 0; j < features; ++j) {
    double batch = 0, invstd;
    for (size_t i = 0; i < images; ++i) batch += std::pow(r[i * features + j] - mean[j], 2) / n;
    invstd = 1 / std::sqrt(batch + p.eps);
    for (size_t i = j; i < r.size(); i += features) {
      if (!(q[i] > 0)) dq[i] = 0;
      dbeta[j] += dq[i];
      dgamma[j] += dq[i] * (r[i] - mean[j]) * invstd;
    }
    for (size_t i = j; i < r.size(); i += features)
      dr[i] = gamma[j] * invstd * (dq[i] - (dbeta[j] + (r[i] - mean[j]) * invstd * dgamma[j]) / n);
  }
  for (size_t i = 0; i < r.size(); ++i) {
    for (size_t k = 0; k < channels; ++k) {
      dreduce[i % features * channels + k] += dr[i] * s[i / features * channels + k];
      ds[i / features * channels + k] += dr[i] * reduce[i % features * channels + k];
    }
  }
  const auto on_ds = room<double>(n, c);
  const Buffer<float> on_dreduce(reduce.size()), on_dgamma(features), on_dbeta(features), on_dselect(select.size());
  SkAttentionBackwardArgs b{};
  b.s = on_s.device();
  b.reduced = reduced.device();
  b.normed = normed.device();
  b.reduce = on_reduce.device();
  b.gamma = on_gamma.device();
  b.beta = on_beta.device();
  b.select = on_select.device();
  b.attention = on_attention.device();
  for (int m = 0; m < branches; ++m) {
    b.scale[m] = on_scale.device();
    b.shift[m] = on_shift.device();
  }
  b.dv_mask = on_mask.device();
  b.dv_mask_u = on_mask_u.device();
  b.ds = on_ds.device();
  b.dreduce = on_dreduce.device();
  b.dgamma = on_dgamma.device();
  b.dbeta = on_dbeta.device();
  b.dselect = on_dselect.device();
  run(sk_attention_backward_products, p, b);
  expect_values(read_flat(on_dselect), dselect, 1e-6, "dselect");
  expect_values(read_flat(on_dgamma), dgamma, 1e-6, "dgamma");
  expect_values(read_flat(on_dbeta), dbeta, 1e-6, "dbeta");
  expect_values(read_flat(on_dreduce), dreduce, 1e-6, "dreduce");
  expect_values(download(on_ds, c), ds, 1e-9, "ds");
  const auto memory = on_ds.read();
  for (size_t i = 0; i < memory.size(); ++i) {
    if (static_cast<int>(i) % padded_to_8(c) >= c) simt_test::expect_equal(memory[i], 0.0, "padded ds");
  }
}

SIMT_TEST(sk_attention) {
  check_attention(2, 5, 20, 8);
  check_attention(3, 2, 40, 33);
  check_attention(4, 9, 130, 40);  // long enough for its sums to be cut
  check_attention(1, 40, 8, 4);
  check_attention(2, 70, 150, 37);  // tiles and steps that are not whole
  check_attention(2, 300, 9, 5);    // more images than a block's lanes read at once
}

}  // namespace
}  // namespace sknet::cuda::test_rows
