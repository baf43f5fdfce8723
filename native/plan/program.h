// What a plan is on any device: the network as steps with their candidates chosen, the values they work on, and a place for everything in
// one piece of memory. Building it touches no device, unless a Chooser does that measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ops/registry.h"
#include "optim/update.h"
#include "plan/chooser.h"
#include "plan/graph.h"
#include "plan/layout.h"
#include "plan/memory.h"
#include "plan/step.h"

namespace sknet::plan {

// The parts of a plan's memory, in this order.
struct Sizes {
  int64_t tensors = 0;  // floats: parameters, running statistics
  int64_t results = 0;  // their gradients and batch statistics, then the step's totals
  int64_t momentum = 0, ema = 0;
  int64_t stack = 0;  // partial sums of the shards' results
  int64_t labels = 0, activations = 0;
  int64_t workspace = 0, packed = 0;  // bytes; the workspace that steps share
  int64_t scratch = 0;                // bytes a thread

  int64_t floats() const { return tensors + results + momentum + ema + stack + labels + activations; }
};

struct Addresses {
  float *tensors, *results, *momentum, *ema, *stack, *labels, *activations;  // momentum, ema: null where there are none
  char *workspace, *packed, *scratch;
};

// Weights change between steps of training and not at all in inference: packed once for all shards where there are several, else right
// before use in memory that all share.
inline bool keeps_packed(const PlanSpec& spec) { return spec.mode == Mode::kInfer || spec.shards > 1; }

class Program {
 public:
  // `threads`: how many need scratch.
  Program(PlanSpec spec, const OpTable& table, int threads, Chooser& chooser = registry_order());
  Program(const Program&) = delete;  // Memory points into it
  Program& operator=(const Program&) = delete;

  PlanSpec spec;
  Graph graph;
  BlockedLayout layout;
  std::vector<Step> steps;  // of one shard; behind them, without a binding, what runs once a step (`update`)
  std::vector<Value> values;
  Ref input, output, output_gradient, input_gradient;
  bool input_rows = false;              // the input lies as NHWC, not blocked
  std::optional<optim::Update> update;  // none in inference
  Sizes sizes;
  int64_t totals_at = 0;  // in the results

  int64_t bytes() const { return report.total; }
  MemoryReport report;
  // bytes() from `memory`, which is aligned to 64 bytes.
  Addresses addresses(char* memory) const;
  Memory memory(const Addresses& a) const { return {&values, a.tensors, a.results, a.labels, a.activations}; }

  bool keeps_packed() const { return plan::keeps_packed(spec); }
  // Where each step's packed weights are, in bytes from Addresses::packed.
  std::vector<int64_t> packed_offsets() const;
  // Where a step's workspace is.
  char* workspace(const Addresses& a, const Step& step) const;
  // Where a section of a tensor is; null where the plan keeps none.
  float* section(const Addresses& a, Section section, const Tensor& tensor) const;

 private:
  void lower(const OpTable& table, Chooser& chooser);
  void place_workspaces(const OpTable& table);
  void lay_out(int threads);
};

}  // namespace sknet::plan
