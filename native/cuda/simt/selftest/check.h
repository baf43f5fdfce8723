// A test is SIMT_TEST(name) { ... } and reports by fail(), SIMT_CRASH(name) { ... } must not return; memory of the device is a Buffer.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/simt/runtime.h"

namespace simt_test {

struct Test {
  const char* name;
  void (*run)();
  bool crashes;
};
std::vector<Test>& tests();
struct Registration {
  Registration(const char* name, void (*run)(), bool crashes) { tests().push_back({name, run, crashes}); }
};

// Marks the running test as failed.
void fail(const std::string& what);

// A case of the running test: `what` ran it, or refused it for `refusal`. Of all that a test has cases of, each must run one: else the test
// would pass and have shown nothing.
void count_case(const void* what, const std::string& name, const char* refusal);

inline void expect(bool ok, const std::string& what) {
  if (!ok) fail(what);
}
template <class T, class U>
void expect_equal(const T& got, const U& expected, const std::string& what) {
  if (!(got == static_cast<T>(expected))) fail(what + ": got " + std::to_string(got) + ", expected " + std::to_string(expected));
}
inline void expect_near(double got, double expected, double tolerance, const std::string& what) {
  if (!(got - expected <= tolerance && expected - got <= tolerance)) {
    fail(what + ": got " + std::to_string(got) + ", expected " + std::to_string(expected));
  }
}
inline void expect_call(cudaError_t got, cudaError_t expected, const std::string& what) {
  if (got != expected) fail(what + ": got " + cudaGetErrorName(got) + ", expected " + cudaGetErrorName(expected));
}

// Waits for the default stream, expects no failure.
inline void finish() {
  expect_call(cudaGetLastError(), cudaSuccess, "launch");
  expect_call(cudaDeviceSynchronize(), cudaSuccess, "kernel");
}

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t size) : size_(size) { expect_call(cudaMalloc(&device_, size * sizeof(T)), cudaSuccess, "cudaMalloc"); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    expect_call(cudaMemcpy(device_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess, "cudaMemcpy");
  }
  ~Buffer() { cudaFree(device_); }
  Buffer(Buffer&& other) noexcept : size_(other.size_), device_(std::exchange(other.device_, nullptr)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* device() const { return device_; }
  std::vector<T> read() const {
    finish();
    std::vector<T> values(size_);
    expect_call(cudaMemcpy(values.data(), device_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess, "cudaMemcpy");
    return values;
  }

 private:
  size_t size_;
  T* device_ = nullptr;
};

// Numbers of [-1, 1), the same everywhere.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed) {}
  uint32_t bits() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 8;
  }
  float next() { return static_cast<float>(bits()) / 8388608.0f - 1.0f; }

 private:
  uint32_t state_;
};

}  // namespace simt_test

#define SIMT_TEST_OF(name, crashes)                                               \
  static void name();                                                             \
  static const simt_test::Registration name##_registration(#name, name, crashes); \
  static void name()
#define SIMT_TEST(name) SIMT_TEST_OF(name, false)
// Must end the process.
#define SIMT_CRASH(name) SIMT_TEST_OF(name, true)
