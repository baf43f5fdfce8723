// Tensors of rows for the tests of kernels, with float64 twins for the references.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "cuda/simt/number.h"
#include "cuda/simt/selftest/check.h"
#include "ops/candidate.h"

namespace sknet::cuda::test_rows {

using simt_test::Buffer;
using simt_test::Numbers;

inline int padded_to_8(int c) { return (c + 7) / 8 * 8; }

inline void narrow(double v, float& to) { to = static_cast<float>(v); }
inline void narrow(double v, bf16& to) { to = to_bf(static_cast<float>(v)); }

// What storing v gives back.
template <class Elem>
double stored(double v) {
  Elem e;
  narrow(v, e);
  return to_f(e);
}

// Room for rounding of one stored activation.
template <class Elem>
double elem_epsilon() {
  return sizeof(Elem) == 4 ? 0x1p-22 : 0x1p-8;
}

using Values = std::vector<double>;

// [rows, c] of values that Elem can hold, c unpadded.
template <class Elem>
Values random_rows(Numbers& random, int64_t rows, int c, double mean = 0) {
  Values v(static_cast<size_t>(rows * c));
  for (double& x : v) x = stored<Elem>(random.next() + mean);
  return v;
}

// On the device, padded; the padding holds numbers that must not matter.
template <class T>
Buffer<T> upload(const Values& v, int c) {
  const size_t rows = v.size() / static_cast<size_t>(c), stride = static_cast<size_t>(padded_to_8(c));
  std::vector<T> memory(rows * stride);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < stride; ++i) {
      const double value = i < static_cast<size_t>(c) ? v[r * static_cast<size_t>(c) + i] : 0.25 + static_cast<double>(i % 3);
      if constexpr (std::is_same_v<T, double>) {
        memory[r * stride + i] = value;
      } else {
        narrow(value, memory[r * stride + i]);
      }
    }
  }
  return Buffer<T>(memory);
}

template <class T>
Buffer<T> room(int64_t rows, int c) {
  return Buffer<T>(static_cast<size_t>(rows * padded_to_8(c)));
}

template <class T>
Values download(const Buffer<T>& buffer, int c) {
  const auto memory = buffer.read();
  const size_t stride = static_cast<size_t>(padded_to_8(c));
  Values v;
  for (size_t i = 0; i < memory.size(); ++i) {
    if (i % stride >= static_cast<size_t>(c)) continue;
    if constexpr (std::is_same_v<T, double>) {
      v.push_back(memory[i]);
    } else {
      v.push_back(to_f(memory[i]));
    }
  }
  return v;
}

// Within `tolerance` of the number itself and of the tensor's size.
inline void expect_values(const Values& got, const Values& expected, double tolerance, const std::string& what) {
  double squares = 0;
  for (const double v : expected) squares += v * v;
  const double size = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, expected.size())));
  simt_test::expect_equal(got.size(), expected.size(), what + ", size");
  for (size_t i = 0; i < expected.size() && i < got.size(); ++i) {
    simt_test::expect_near(got[i], expected[i], tolerance * (std::fabs(expected[i]) + size), what + "[" + std::to_string(i) + "]");
  }
}

template <class Problem, class Args>
void run(const Candidate<Problem, Args>& candidate, const std::type_identity_t<Problem>& problem, const std::type_identity_t<Args>& args) {
  const size_t bytes = candidate.workspace == nullptr ? 0 : candidate.workspace(problem);
  Buffer<char> workspace(bytes);
  Exec exec{};
  exec.workspace = workspace.device();
  candidate.run(problem, args, exec);
  simt_test::finish();
}

// Runs f<float>() and f<bf16>().
template <class F>
void in_both(const F& f) {
  f.template operator()<float>();
  f.template operator()<bf16>();
}

template <class Elem, class T>
const T& pick(const T& fp32, const T& of_bf16) {
  return sizeof(Elem) == 4 ? fp32 : of_bf16;
}

struct Shape {
  int n, hw, c;
};
// One tile and several, chunks that are not whole, lanes without rows.
inline const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{2, 1, 1}, {2, 49, 24}, {3, 300, 64}, {1, 2100, 3}, {2, 530, 130}};
  return all;
}
inline std::string name_of(const Shape& s) { return std::to_string(s.n) + " x " + std::to_string(s.hw) + " x " + std::to_string(s.c); }

}  // namespace sknet::cuda::test_rows
