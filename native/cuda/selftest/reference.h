// What the tests of kernels share: tensors on both sides, float64 convolution, comparison, running a candidate.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "core/exec.h"
#include "cuda/simt/number.h"
#include "cuda/simt/selftest/check.h"
#include "ops/conv2d.h"

namespace sknet::cuda::test {

using simt_test::Buffer;
using simt_test::Numbers;

inline int padded_to_8(int channels) { return (channels + 7) / 8 * 8; }

template <class Elem>
Elem as_stored(double v) {
  if constexpr (sizeof(Elem) == 2) {
    return to_bf(static_cast<float>(v));
  } else {
    return static_cast<float>(v);
  }
}
// As an activation in memory holds it.
template <class Elem>
double rounded(double v) {
  return to_f(as_stored<Elem>(v));
}

// Rows of padded channels; random numbers around `mean`, or with no numbers NaN everywhere.
template <class Elem>
class Activation {
 public:
  Activation(int rows, int c, Numbers* numbers, float mean = 0) : Activation(rows, c, values(rows, c, numbers, mean)) {}
  double at(int row, int channel) const {
    return to_f(host_[static_cast<size_t>(row) * static_cast<size_t>(padded_) + static_cast<size_t>(channel)]);
  }
  Elem* device() const { return memory_.device(); }
  // Fetches what a kernel wrote.
  void fetch() { host_ = memory_.read(); }
  int rows() const { return rows_; }
  int channels() const { return c_; }
  int padded() const { return padded_; }

 private:
  Activation(int rows, int c, std::vector<Elem> host)
      : rows_(rows), c_(c), padded_(padded_to_8(c)), host_(std::move(host)), memory_(host_) {}
  static std::vector<Elem> values(int rows, int c, Numbers* numbers, float mean) {
    std::vector<Elem> all;
    for (int row = 0; row < rows; ++row) {
      for (int i = 0; i < padded_to_8(c); ++i) {
        all.push_back(as_stored<Elem>(numbers == nullptr ? NAN : i < c ? mean + 1.7f * numbers->next() : 0));
      }
    }
    return all;
  }
  int rows_, c_, padded_;
  std::vector<Elem> host_;
  Buffer<Elem> memory_;
};

// One number a channel, zeros in the padding; `spread` around `mean`, or with no numbers NaN.
class Vector {
 public:
  Vector(int c, Numbers* numbers, float mean = 0, float spread = 0) : Vector(values(c, numbers, mean, spread)) {}
  explicit Vector(const std::vector<float>& host) : host_(host), memory_(host_) {}
  float operator[](int c) const { return host_[static_cast<size_t>(c)]; }
  float* device() const { return memory_.device(); }
  void fetch() { host_ = memory_.read(); }

 private:
  static std::vector<float> values(int c, Numbers* numbers, float mean, float spread) {
    std::vector<float> all(static_cast<size_t>(padded_to_8(c)), 0.0f);
    for (int i = 0; i < c; ++i) all[static_cast<size_t>(i)] = numbers == nullptr ? NAN : mean + spread * numbers->next();
    return all;
  }
  std::vector<float> host_;
  Buffer<float> memory_;
};

// Relative error of a whole tensor in the 2-norm; NaN counts as infinitely wrong.
class Error {
 public:
  void add(double got, double expected) {
    if (!std::isfinite(got)) wrong_ = INFINITY;
    wrong_ += (got - expected) * (got - expected);
    all_ += expected * expected;
  }
  void expect_below(double tolerance, const std::string& what) const {
    const double error = std::sqrt(wrong_ / (all_ + 1e-30));
    if (!(error <= tolerance)) simt_test::fail(what + ": relative error " + std::to_string(error));
  }

 private:
  double wrong_ = 0, all_ = 0;
};

// f(output pixel, output channel, input pixel, input channel, index of the weight) for every product of a convolution.
template <class F>
void for_products(const Conv2dProblem& p, const F& f) {
  const int in_group = p.c / p.groups, out_group = p.out / p.groups;
  for (int pixel = 0; pixel < p.n * p.oh * p.ow; ++pixel) {
    const int n = pixel / (p.oh * p.ow), y = pixel / p.ow % p.oh, x = pixel % p.ow;
    for (int tap = 0; tap < p.kernel * p.kernel; ++tap) {
      const int h = y * p.stride - p.padding + tap / p.kernel * p.dilation, w = x * p.stride - p.padding + tap % p.kernel * p.dilation;
      if (h < 0 || w < 0 || h >= p.h || w >= p.w) continue;
      for (int o = 0; o < p.out; ++o) {
        for (int i = 0; i < in_group; ++i) {
          f(pixel, o, (n * p.h + h) * p.w + w, o / out_group * in_group + i, (o * in_group + i) * p.kernel * p.kernel + tap);
        }
      }
    }
  }
}

inline int weight_count(const Conv2dProblem& p) { return p.out * (p.c / p.groups) * p.kernel * p.kernel; }

inline std::string describe(const Conv2dProblem& p) {
  char text[160];
  snprintf(text, sizeof(text), "%dx%dx%dx%d -> %d, k%d s%d p%d d%d g%d", p.n, p.h, p.w, p.c, p.out, p.kernel, p.stride, p.padding,
           p.dilation, p.groups);
  return text;
}

// False where the candidate refuses, which counts as not run.
template <class Candidate, class Problem, class Args>
bool run(const Candidate& candidate, const Problem& problem, const Args& args) {
  const char* refusal = candidate.refuse == nullptr ? nullptr : candidate.refuse(problem);
  simt_test::count_case(&candidate, candidate.name, refusal);
  if (refusal != nullptr) return false;
  // Poisoned: nothing may be read that was not written.
  const auto bytes = [&](size_t (*count)(const Problem&)) {
    return std::vector<unsigned char>(count == nullptr ? 16 : count(problem) + 16, 0xff);
  };
  const Buffer<unsigned char> workspace(bytes(candidate.workspace)), packed(bytes(candidate.packed));
  Exec exec{};
  exec.workspace = reinterpret_cast<char*>(workspace.device());
  exec.packed = reinterpret_cast<char*>(packed.device());
  if (candidate.pack != nullptr) candidate.pack(problem, args, exec);
  candidate.run(problem, args, exec);
  simt_test::finish();
  return true;
}

// Activations written are rounded, and in bfloat16 so is what a batch norm hands to the tensor cores, now and then to the other side.
template <class Elem>
constexpr double kTolerance = sizeof(Elem) == 2 ? 4e-3 : 3e-6;

// Statistics of a convolution's output.
struct StatisticsResult {
  Vector gamma, beta, mean, invstd, scale, shift, batch_mean, batch_var;
  StatisticsResult(int c, Numbers* n)
      : gamma(c, n, 1, 0.3f),
        beta(c, n, 0, 1),
        mean(c, nullptr),
        invstd(c, nullptr),
        scale(c, nullptr),
        shift(c, nullptr),
        batch_mean(c, nullptr),
        batch_var(c, nullptr) {}
  NormStatistics args() const {
    return {gamma.device(),      beta.device(),     1e-5f, mean.device(), invstd.device(), scale.device(), shift.device(),
            batch_mean.device(), batch_var.device()};
  }
  // value(row, channel): the exact output.
  template <class Value>
  void expect(int rows, int channels, const Value& value, const std::string& what) {
    for (Vector* v : {&mean, &invstd, &scale, &shift, &batch_mean, &batch_var}) v->fetch();
    for (int c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      for (int row = 0; row < rows; ++row) sum += value(row, c);
      const double m = sum / rows;
      for (int row = 0; row < rows; ++row) squares += (value(row, c) - m) * (value(row, c) - m);
      const double i = 1 / std::sqrt(squares / rows + 1e-5), s = gamma[c] * i;
      simt_test::expect_near(mean[c], m, 3e-5 / i, what + " mean");
      simt_test::expect_near(batch_mean[c], m, 3e-5 / i, what + " batch mean");
      simt_test::expect_near(invstd[c] / i, 1, 3e-5, what + " invstd");
      simt_test::expect_near(scale[c] / s, 1, 3e-5, what + " scale");
      simt_test::expect_near(shift[c], beta[c] - m * s, 1e-4 * (1 + std::fabs(m) * i), what + " shift");
      if (rows > 1) simt_test::expect_near(batch_var[c] / (squares / (rows - 1)), 1, 6e-5, what + " batch variance");
    }
    for (int c = channels; c < padded_to_8(channels); ++c) simt_test::expect(scale[c] == 0 && shift[c] == 0, what + " padding");
  }
};

// The closing of a gradient: what it reads, and what is expected of what it writes.
template <class Elem>
struct CloseResult {
  Activation<Elem> u, output;
  Vector gamma, mean, invstd, scale, shift, dgamma, dbeta, gain, slope, offset;
  bool relu, by_output;
  CloseResult(int rows, int c, Numbers* n, bool relu, bool by_output)
      : u(rows, c, n),
        output(rows, c, n),
        gamma(c, n, 1, 0.3f),
        mean(c, n, 0, 0.3f),
        invstd(c, n, 1, 0.1f),
        scale(c, n, 1, 0.3f),
        shift(c, n, 0, 0.3f),
        dgamma(c, nullptr),
        dbeta(c, nullptr),
        gain(c, nullptr),
        slope(c, nullptr),
        offset(c, nullptr),
        relu(relu),
        by_output(by_output) {}
  NormClose args(const void* add) const {
    return {u.device(),
            relu,
            by_output ? output.device() : nullptr,
            add,
            gamma.device(),
            mean.device(),
            invstd.device(),
            scale.device(),
            shift.device(),
            dgamma.device(),
            dbeta.device(),
            gain.device(),
            slope.device(),
            offset.device()};
  }
  bool open(int row, int c) const {
    const float z = static_cast<float>(scale[c] * static_cast<float>(u.at(row, c)) + shift[c]);
    return !relu || (by_output ? output.at(row, c) : z) > 0;
  }
  // value(row, channel): the exact dz. Sums are of unrounded numbers; a product's own rounding of its operands stays in them.
  template <class Value>
  void expect(const Value& value, double relative, const std::string& what) {
    for (Vector* v : {&dgamma, &dbeta, &gain, &slope, &offset}) v->fetch();
    Error errors[5];
    const int rows = u.rows();
    for (int c = 0; c < u.channels(); ++c) {
      double sum = 0, dot = 0, size = 0;
      for (int row = 0; row < rows; ++row) {
        const double v = value(row, c);
        sum += v;
        dot += v * (u.at(row, c) - mean[c]);
        size += v * v;
      }
      const double i = invstd[c], g = gamma[c] * i, noise = std::sqrt(size);  // errors are measured against what is summed
      errors[0].add(dbeta[c] - sum + noise, noise);
      errors[1].add(dgamma[c] - dot * i + noise, noise);
      errors[2].add(gain[c], g);
      errors[3].add((slope[c] + g * i * i * dot / rows) * rows + noise, noise);
      errors[4].add((offset[c] - g * sum / rows) * rows + noise, noise);
    }
    for (const Error& error : errors) error.expect_below(relative, what + " closing");
  }
};

}  // namespace sknet::cuda::test
