#include "plugin/plugin_plan.h"

#include <utility>

#include "plugin/wire.h"

namespace sknet::plugin {

namespace {

plan::MemoryReport report_of(const MemoryData& m) {
  return {m.parameters, m.gradients, m.optimizer, m.ema, m.activations, m.workspace, m.total};
}

}  // namespace

template <class Function, class... Args>
void PluginPlan::call(Function function, Args... args) {
  Failure failure;
  if (function(plan_.get(), args..., &failure) != 0) throw_failure(failure);
}

PluginPlan::PluginPlan(const Api& api, plan::PlanSpec spec, int device)
    : api_(api), spec_(std::move(spec)), graph_(plan::build_graph(spec_)), plan_(nullptr, Free{&api}) {
  const SpecOnWire wire(spec_);
  PlanHandle* plan = nullptr;
  Failure failure;
  if (api_.build_plan(&wire.data(), device, &plan, &failure) != 0) throw_failure(failure);
  plan_.reset(plan);
}

std::vector<plan::StepInfo> PluginPlan::steps() const {
  std::vector<plan::StepInfo> infos;
  const auto visit = [](void* context, const StepData* step) {
    plan::StepInfo info{.op = step->op, .layer = step->layer, .phase = static_cast<plan::Phase>(step->phase), .candidate = step->candidate};
    for (int i = 0; i < step->refused_count; ++i) info.refused.push_back({step->refused[2 * i], step->refused[2 * i + 1]});
    for (int i = 0; i < step->tried_count; ++i) info.trials.push_back({step->tried[i], step->tried_seconds[i]});
    info.note = step->note;
    info.flops = step->flops;
    info.bytes = step->bytes;
    info.seconds = step->seconds;
    static_cast<std::vector<plan::StepInfo>*>(context)->push_back(std::move(info));
  };
  api_.steps(plan_.get(), visit, &infos);
  return infos;
}

plan::MemoryReport PluginPlan::memory() const {
  MemoryData m{};
  api_.memory(plan_.get(), &m);
  return report_of(m);
}

bool PluginPlan::read(plan::Section section, const plan::Tensor& tensor, float* data) {
  int32_t kept = 0;
  call(api_.read, static_cast<int32_t>(section), static_cast<int32_t>(&tensor - graph_.tensors.data()), data, &kept);
  return kept != 0;
}

bool PluginPlan::write(plan::Section section, const plan::Tensor& tensor, const float* data) {
  int32_t kept = 0;
  call(api_.write, static_cast<int32_t>(section), static_cast<int32_t>(&tensor - graph_.tensors.data()), data, &kept);
  return kept != 0;
}

void PluginPlan::submit(const float* images, const plan::Targets& targets, float lr) {
  call(api_.submit, images, targets.labels, targets.labels2, targets.mix, lr);
}

void PluginPlan::submit(const Pictures& pictures, const plan::Targets& targets, float lr) {
  call(api_.submit_pictures, &pictures, targets.labels, targets.labels2, targets.mix, lr);
}

plan::StepOutcome PluginPlan::collect() {
  OutcomeData o{};
  call(api_.collect, &o);
  return {.totals = {o.loss, o.top1, o.top5}, .gradient_norm = o.gradient_norm, .finite = o.finite != 0, .together = o.together};
}

void PluginPlan::submit_evaluation(const float* images, const int32_t* labels, int count) {
  call(api_.submit_evaluation, images, labels, static_cast<int32_t>(count));
}

void PluginPlan::submit_evaluation(const Pictures& pictures, const int32_t* labels, int count) {
  call(api_.submit_evaluation_pictures, &pictures, labels, static_cast<int32_t>(count));
}

plan::Totals PluginPlan::collect_evaluation() {
  OutcomeData o{};
  call(api_.collect_evaluation, &o);
  return {o.loss, o.top1, o.top5};
}

void PluginPlan::infer(const float* images, int count, float* out) { call(api_.infer, images, static_cast<int32_t>(count), out); }

void PluginPlan::block_forward(const float* x, float* y) { call(api_.block_forward, x, y); }

void PluginPlan::block_backward(const float* dy, float* dx) { call(api_.block_backward, dy, dx); }

plan::MemoryReport plan_memory(const Api& api, const plan::PlanSpec& spec, int device) {
  const SpecOnWire wire(spec);
  MemoryData m{};
  Failure failure;
  if (api.plan_memory(&wire.data(), device, &m, &failure) != 0) throw_failure(failure);
  return report_of(m);
}

}  // namespace sknet::plugin
