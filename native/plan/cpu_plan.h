// The executor of the CPU: one arena, one pool of threads, a step after the other.
#pragma once

#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "plan/plan.h"
#include "plan/program.h"

namespace sknet::plan {

class CpuPlan : public Plan {
 public:
  explicit CpuPlan(PlanSpec spec);

  const PlanSpec& spec() const override { return program_.spec; }
  const Graph& graph() const override { return program_.graph; }
  std::vector<StepInfo> steps() const override;
  MemoryReport memory() const override { return program_.report; }
  bool read(Section section, const Tensor& tensor, float* data) override;
  bool write(Section section, const Tensor& tensor, const float* data) override;
  // A step or evaluation has run when it was submitted.
  int depth() const override { return 1; }
  void submit(const float* images, const Targets& targets, float lr) override;
  StepOutcome collect() override;
  void submit_evaluation(const float* images, const int32_t* labels, int count) override;
  Totals collect_evaluation() override { return outcome_.totals; }
  void infer(const float* images, int count, float* out) override;
  void block_forward(const float* x, float* y) override;
  void block_backward(const float* dy, float* dx) override;

 private:
  struct Bound {
    Phase phase;
    Calls calls;
    char* packed;  // where its packed weights are
    double seconds = 0;
  };
  void bind_steps();
  void run_step(Bound& step);
  void run_phase(Phase phase);
  void pack_all();
  void load_images(const float* images, int count);
  // `first`: of the batch. Images without a second label are their first one's altogether.
  void load_labels(const Targets& targets, int64_t first, int count);
  // The first `count` images of a blocked value -> NHWC.
  void read_blocked(const Ref& ref, const Shape& shape, int count, float* rows);
  float* at(const Ref& ref) const { return memory_(ref); }

  Program program_;
  Arena arena_;
  ThreadPool pool_;
  Addresses a_;
  Memory memory_;
  Exec exec_{};
  std::vector<Bound> bound_;
  StepOutcome outcome_;        // of the step submitted last
  bool packed_is_old_ = true;  // the weights may have changed since pack_all
};

// What such a plan would take.
MemoryReport cpu_plan_memory(const PlanSpec& spec);

}  // namespace sknet::plan
