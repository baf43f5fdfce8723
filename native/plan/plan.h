// A plan: a network for one input size, shard size and mode, with everything it needs in one arena. Building it chooses candidates and
// lays out memory; running it allocates nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "optim/update.h"
#include "plan/graph.h"
#include "plan/layout.h"
#include "plan/shard_tree.h"
#include "plan/step.h"

namespace sknet::plan {

enum class Section { kValue, kGradient, kMomentum, kEma };

struct MemoryReport {
  int64_t parameters = 0, gradients = 0, optimizer = 0, ema = 0, activations = 0, workspace = 0, total = 0;
};

// Sums over the images of one or more shards.
struct Totals {
  double loss = 0;
  int64_t top1 = 0, top5 = 0;
};

class Plan {
 public:
  explicit Plan(PlanSpec spec);

  const PlanSpec& spec() const { return spec_; }
  const Graph& graph() const { return graph_; }
  const std::vector<Step>& steps() const { return steps_; }
  MemoryReport memory() const { return report_; }
  int batch() const { return spec_.shard_size * spec_.shards; }
  Shape output_shape() const { return graph_.shape_of(graph_.output()); }

  // Where a tensor's numbers are; nullptr where this plan keeps no such section for it.
  float* section(Section section, const Tensor& tensor);
  // All values (and running statistics) from another plan of the same tensors; from its EMA if `ema`.
  void copy_values(const Plan& from, bool ema);

  // One optimiser step on batch() images [batch, h, w, c]. Not finite: nothing changed.
  struct TrainOutcome {
    Totals totals;  // loss: mean over the batch, label smoothing included
    double gradient_norm = 0;
    bool finite = true;
  };
  TrainOutcome train(const float* images, const int32_t* labels, float lr);

  // Loss and hits of up to shard_size images with their labels (-1: not counted).
  Totals evaluate(const float* images, const int32_t* labels, int count);
  // Output of up to shard_size images -> out [count, elements an image].
  void infer(const float* images, int count, float* out);
  // mode kBlock: training forward, which also updates the running statistics; then backward from dy.
  void block_forward(const float* x, float* y);
  void block_backward(const float* dy, float* dx);

 private:
  struct Bound {
    Phase phase;
    Calls calls;
    char* packed;  // where its packed weights are
  };
  void bind_steps();
  void run_step(size_t index);
  // Weights change between steps of training and not at all in inference: packed once for all shards where there are several, else right
  // before use in memory that all share.
  bool keeps_packed() const { return spec_.mode == Mode::kInfer || spec_.shards > 1; }
  void pack_all();
  void lay_out();
  void load_images(const float* images, int count);
  // The first `count` images of a blocked value -> NHWC.
  void read_blocked(const Ref& ref, const Shape& shape, int count, float* rows);
  void load_labels(const int32_t* labels, int count);
  void run_phase(Phase phase);
  float* at(const Ref& ref) const { return memory_(ref); }

  PlanSpec spec_;
  Graph graph_;
  std::vector<Step> steps_;
  std::vector<Value> values_;
  std::vector<Bound> bound_;
  Ref input_, output_, output_gradient_, input_gradient_;
  bool input_rows_ = false;
  BlockedLayout layout_;
  MemoryReport report_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<optim::Update> update_;
  Exec exec_{};
  Memory memory_;
  float *tensor_values_ = nullptr, *results_ = nullptr, *momentum_ = nullptr, *ema_ = nullptr, *stack_ = nullptr, *labels_ = nullptr;
  int64_t totals_at_ = 0, result_floats_ = 0;
  char* packed_ = nullptr;
  bool packed_is_old_ = true;  // the weights may have changed since pack_all
};

}  // namespace sknet::plan
