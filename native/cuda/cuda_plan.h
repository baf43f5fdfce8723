// The executor of CUDA: everything of a plan in one allocation, a whole step (all shards and the update) recorded as one graph for each
// place of input, or several short steps as one, replayed without a word from the host. Steps are started ahead: while one runs, the next
// one's images are copied.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "cuda/footprint.h"
#include "cuda/handles.h"
#include "cuda/inputs.h"
#include "cuda/rank_sums.h"
#include "cuda/step_timer.h"
#include "plan/plan.h"
#include "plan/program.h"

namespace sknet::cuda {

class CudaPlan : public plan::Plan {
 public:
  CudaPlan(const plan::PlanSpec& spec, int device);
  ~CudaPlan() override;

  const plan::PlanSpec& spec() const override { return program_.spec; }
  const plan::Graph& graph() const override { return program_.graph; }
  std::vector<plan::StepInfo> steps() const override;
  plan::MemoryReport memory() const override;
  bool read(plan::Section section, const plan::Tensor& tensor, float* data) override;
  bool write(plan::Section section, const plan::Tensor& tensor, const float* data) override;
  // A launch that was started with fewer steps than it has room for leaves the rest of its slots unused.
  int depth() const override { return static_cast<int>(slots_.size()) - (footprint_.per_launch > 1 ? footprint_.per_launch : 0); }
  void submit(const float* images, const plan::Targets& targets, float lr) override { start({.floats = images}, targets, lr); }
  void submit(const Pictures& pictures, const plan::Targets& targets, float lr) override { start({.pictures = &pictures}, targets, lr); }
  plan::StepOutcome collect() override;
  void submit_evaluation(const float* images, const int32_t* labels, int count) override { judge({.floats = images}, labels, count); }
  void submit_evaluation(const Pictures& pictures, const int32_t* labels, int count) override {
    judge({.pictures = &pictures}, labels, count);
  }
  plan::Totals collect_evaluation() override;
  void infer(const float* images, int count, float* out) override;
  void block_forward(const float* x, float* y) override;
  void block_backward(const float* dy, float* dx) override;

 private:
  // What a step tells the host, and what the host tells it, in pinned memory.
  struct Letter {
    float totals[4];
    UpdateControl control;
    float lr;
  };
  // A step that is under way.
  struct Slot {
    PinnedMemory memory;
    Letter* letter;
    Event done;
    int together = 1;  // StepOutcome's
  };
  using Record = void (CudaPlan::*)(size_t place);

  void check_input() const;
  void allocate();
  void bind_steps();
  // Lets steps change things again.
  void arm();
  // Each call may come on another thread.
  void enter() const;

  void start(const Images& images, const plan::Targets& targets, float lr);
  // Of one step a launch: its images are read before the recorded part, so that their place is soon free again.
  void launch_alone(size_t slot);
  // Starts the steps that wait in the slots of a launch.
  void launch_waiting();
  void judge(const Images& images, const int32_t* labels, int count);
  // The images of `slot`, where the forward steps read them.
  void load_one(size_t slot, const Images& images, const int32_t* labels, int count);
  // What a step or evaluation that starts and ends needs besides its launch.
  void check_room() const;
  void finish_start(Slot& slot);
  Slot& wait_for_oldest();
  // Runs what `record` launches, from the graph where graphs are used.
  void launch(size_t place, Graph& graph, Record record);
  void wait(cudaStream_t stream);

  // These launch on compute_, or record there.
  void record_step(size_t place);
  // The step of a slot from its rate and images to its letter.
  void record_slot(size_t slot);
  void record_launch(size_t first_slot);
  void record_evaluate(size_t place);
  void record_infer(size_t place);
  void load(size_t place, int shard);
  void set_rate(const Slot& slot);
  void run_phase(plan::Phase phase);
  void start_timer();
  void run_bound(size_t index);
  // The sums over this rank's shards of bucket `index`, and from there over all ranks'.
  void finish_bucket(size_t index);
  void pack_all();
  void send_letter(Slot& slot);
  void read_rows(const plan::Ref& ref, const plan::Shape& shape, int count, float* rows);

  int device_;
  plan::Program program_;
  Footprint footprint_;
  bool graphs_;  // not with SKNET_CUDA_GRAPHS=0, which launches everything anew to look for faults, nor where steps are timed
  DeviceMemory memory_;
  plan::Addresses a_{};
  plan::Memory at_;
  float* staging_ = nullptr;  // rows that are read, or written in block mode
  UpdateControl* control_ = nullptr;
  Stream compute_;
  std::vector<plan::Bucket> buckets_;  // of a step's results: one, or as ranks sum them
  std::optional<RankSums> rank_sums_;  // of several ranks
  std::optional<Inputs> inputs_;
  Exec exec_{};
  struct Bound {
    plan::Phase phase;
    plan::Calls calls;
    char *packed, *workspace;
  };
  std::vector<Bound> bound_;
  std::optional<StepTimer> timer_;
  std::vector<Graph> step_graphs_;    // one a place
  std::vector<Graph> launch_graphs_;  // of several steps: one a launch
  Graph evaluate_graph_, infer_graph_;
  std::vector<Slot> slots_;
  std::deque<size_t> under_way_;  // slots, oldest first
  size_t waiting_ = 0;            // the last of them, which were not launched yet
  size_t next_slot_ = 0, next_place_ = 0;
  bool stopped_ = false;       // a step was not finite: the device waits to be told to go on
  bool packed_is_old_ = true;  // the weights may have changed since pack_all; in training each step packs
};

// What such a plan would take.
plan::MemoryReport cuda_plan_memory(const plan::PlanSpec& spec, int device);

}  // namespace sknet::cuda
