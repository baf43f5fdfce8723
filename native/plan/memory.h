// Where a plan's numbers live: regions of one arena, and inside the activation region an offset for each value, laid out by lifetime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sknet::plan {

// kValues: weights and running statistics. kResults: at the same offsets their gradients and batch statistics, then the step's totals.
// kLabels: the shard's labels, second labels (int32) and shares. kActivation: a Value, by index.
enum class Region { kValues, kResults, kLabels, kActivation, kNone };

// A place in memory before addresses exist: a float offset in a region, or a value of the activation region.
struct Ref {
  Region region = Region::kNone;
  int64_t at = 0;
};

// Something computed and used within one shard's pass. Steps are numbered; alive in [first, last].
struct Value {
  int64_t floats = 0;
  int first = -1, last = -1;
  int64_t offset = 0;  // floats, set by lay_out
};

// Gives every value an offset so that values alive at the same time do not overlap; returns the floats needed. Largest first, lowest
// free place, so the result depends on the list alone.
int64_t lay_out(std::vector<Value>& values);

// A tensor's numbers: its value, or what training keeps beside it.
enum class Section { kValue, kGradient, kMomentum, kEma };

// Bytes.
struct MemoryReport {
  int64_t parameters = 0, gradients = 0, optimizer = 0, ema = 0, activations = 0, workspace = 0, total = 0;
};

// Turns Refs into addresses. While a plan is being lowered it has no addresses and notes instead which values and which tensors' results a
// step touches.
class Memory {
 public:
  Memory() = default;  // recording
  Memory(const std::vector<Value>* values, float* tensor_values, float* results, float* labels, float* activations)
      : values_(values), tensor_values_(tensor_values), results_(results), labels_(labels), activations_(activations) {}

  // nullptr for Region::kNone.
  float* operator()(const Ref& ref) const;

  const std::vector<int>& touched() const { return touched_; }
  const std::vector<int64_t>& results() const { return touched_results_; }

 private:
  const std::vector<Value>* values_ = nullptr;
  float* tensor_values_ = nullptr;
  float* results_ = nullptr;
  float* labels_ = nullptr;
  float* activations_ = nullptr;
  mutable std::vector<int> touched_;
  mutable std::vector<int64_t> touched_results_;
};

}  // namespace sknet::plan
