// A plan that a plugin runs.
#pragma once

#include <memory>
#include <vector>

#include "plan/plan.h"
#include "plugin/api.h"

namespace sknet::plugin {

class PluginPlan : public plan::Plan {
 public:
  PluginPlan(const Api& api, plan::PlanSpec spec, int device);

  const plan::PlanSpec& spec() const override { return spec_; }
  const plan::Graph& graph() const override { return graph_; }
  std::vector<plan::StepInfo> steps() const override;
  plan::MemoryReport memory() const override;
  bool read(plan::Section section, const plan::Tensor& tensor, float* data) override;
  bool write(plan::Section section, const plan::Tensor& tensor, const float* data) override;
  int depth() const override { return api_.depth(plan_.get()); }
  void submit(const float* images, const plan::Targets& targets, float lr) override;
  void submit(const Pictures& pictures, const plan::Targets& targets, float lr) override;
  plan::StepOutcome collect() override;
  void submit_evaluation(const float* images, const int32_t* labels, int count) override;
  void submit_evaluation(const Pictures& pictures, const int32_t* labels, int count) override;
  plan::Totals collect_evaluation() override;
  void infer(const float* images, int count, float* out) override;
  void block_forward(const float* x, float* y) override;
  void block_backward(const float* dy, float* dx) override;

 private:
  struct Free {
    const Api* api;
    void operator()(PlanHandle* plan) const { api->free_plan(plan); }
  };
  template <class Function, class... Args>
  void call(Function function, Args... args);

  const Api& api_;
  plan::PlanSpec spec_;
  plan::Graph graph_;  // as the plugin has it, too
  std::unique_ptr<PlanHandle, Free> plan_;
};

// What such a plan would take.
plan::MemoryReport plan_memory(const Api& api, const plan::PlanSpec& spec, int device);

}  // namespace sknet::plugin
