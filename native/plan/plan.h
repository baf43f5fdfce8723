// A plan: a network for one input size, shard size and mode on one device, with everything it needs in memory laid out beforehand. What it
// is made of is the same everywhere (program.h); a device's executor implements this. One caller at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "core/picture.h"
#include "plan/graph.h"
#include "plan/memory.h"
#include "plan/step.h"

namespace sknet::plan {

// Sums over the images of one or more shards.
struct Totals {
  double loss = 0;
  int64_t top1 = 0, top5 = 0;
};

// Of all ranks together.
struct StepOutcome {
  Totals totals;  // loss: mean over the global batch, label smoothing included
  double gradient_norm = 0;
  bool finite = true;  // false: nothing was changed
  int together = 1;    // with how many steps, itself and later ones, it ended; 0: with an earlier one
};

// What the images of a batch are: each of one class, or, where `mix` is not null, a share of one and the rest of another.
struct Targets {
  const int32_t* labels = nullptr;
  const int32_t* labels2 = nullptr;
  const float* mix = nullptr;  // the share of labels
};

class Plan {
 public:
  virtual ~Plan() = default;

  virtual const PlanSpec& spec() const = 0;
  virtual const Graph& graph() const = 0;
  virtual std::vector<StepInfo> steps() const = 0;
  virtual MemoryReport memory() const = 0;
  int batch() const { return spec().shard_size * spec().shards; }
  int64_t global_batch() const { return int64_t{1} * batch() * spec().ranks.count; }  // of all ranks
  Shape output_shape() const { return graph().shape_of(graph().output()); }

  // Copies a tensor's numbers out or in; false where this plan keeps no such section of it.
  virtual bool read(Section section, const Tensor& tensor, float* data) = 0;
  virtual bool write(Section section, const Tensor& tensor, const float* data) = 0;
  // All values (and running statistics) from another plan of the same tensors; from its EMA if `ema`.
  void copy_values(Plan& from, bool ema);

  // Training. submit() starts one optimiser step on batch() images [batch, h, w, c] and is done with them when it returns; collect() waits
  // for the oldest step that was not collected. Up to depth() steps may be under way, so that a device never waits for the host. Behind a
  // step that was not finite none changes anything until all that are under way were collected.
  virtual int depth() const = 0;
  virtual void submit(const float* images, const Targets& targets, float lr) = 0;
  // The same of bytes, by plans that were built for them (PlanSpec::image_bytes); others throw Error ERR_SKNET_NATIVE.
  virtual void submit(const Pictures& pictures, const Targets& targets, float lr);
  virtual StepOutcome collect() = 0;

  // Inference. submit_evaluation() starts judging up to shard_size images by their labels (-1: not counted) and is done with them when it
  // returns; collect_evaluation() waits for the oldest that was not collected: sums of losses, hits. Up to depth() may be under way.
  virtual void submit_evaluation(const float* images, const int32_t* labels, int count) = 0;
  virtual void submit_evaluation(const Pictures& pictures, const int32_t* labels, int count);
  virtual Totals collect_evaluation() = 0;
  // Output of up to shard_size images -> out [count, elements an image].
  virtual void infer(const float* images, int count, float* out) = 0;
  // mode kBlock: training forward, which also updates the running statistics; then backward from dy.
  virtual void block_forward(const float* x, float* y) = 0;
  virtual void block_backward(const float* dy, float* dx) = 0;
};

}  // namespace sknet::plan
