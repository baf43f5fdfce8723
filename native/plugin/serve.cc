#include "plugin/serve.h"

#include <string>
#include <vector>

#include "plugin/wire.h"

namespace sknet::plugin {

namespace {

Backend served{};

plan::Plan& plan_of(PlanHandle* handle) { return *reinterpret_cast<plan::Plan*>(handle); }

template <class F>
int guarded(Failure* failure, const F& f) {
  try {
    f();
    return 0;
  } catch (...) {
    describe_exception(*failure);
    return 1;
  }
}

int make_rank_id(char* id, Failure* failure) {
  return guarded(failure, [&] { served.make_rank_id().copy(id, kRankIdBytes); });
}

int build_plan(const SpecData* spec, int32_t device, PlanHandle** plan, Failure* failure) {
  return guarded(failure, [&] { *plan = reinterpret_cast<PlanHandle*>(served.make_plan(spec_from(*spec), device).release()); });
}

void free_plan(PlanHandle* plan) { delete &plan_of(plan); }

MemoryData memory_data(const plan::MemoryReport& m) {
  return {m.parameters, m.gradients, m.optimizer, m.ema, m.activations, m.workspace, m.total};
}

void memory(PlanHandle* plan, MemoryData* to) { *to = memory_data(plan_of(plan).memory()); }

int plan_memory(const SpecData* spec, int32_t device, MemoryData* to, Failure* failure) {
  return guarded(failure, [&] { *to = memory_data(served.plan_memory(spec_from(*spec), device)); });
}

void steps(PlanHandle* plan, void (*visit)(void* context, const StepData* step), void* context) {
  for (const plan::StepInfo& step : plan_of(plan).steps()) {
    std::vector<const char*> refused;
    for (const plan::Refusal& r : step.refused) {
      refused.push_back(r.candidate.c_str());
      refused.push_back(r.reason.c_str());
    }
    std::vector<const char*> tried;
    std::vector<double> tried_seconds;
    for (const plan::Trial& trial : step.trials) {
      tried.push_back(trial.candidate.c_str());
      tried_seconds.push_back(trial.seconds);
    }
    const StepData data{.op = step.op.c_str(),
                        .layer = step.layer.c_str(),
                        .candidate = step.candidate.c_str(),
                        .refused = refused.data(),
                        .tried = tried.data(),
                        .tried_seconds = tried_seconds.data(),
                        .note = step.note.c_str(),
                        .refused_count = static_cast<int32_t>(step.refused.size()),
                        .tried_count = static_cast<int32_t>(tried.size()),
                        .phase = static_cast<int32_t>(step.phase),
                        .flops = step.flops,
                        .bytes = step.bytes,
                        .seconds = step.seconds};
    visit(context, &data);
  }
}

int32_t depth(PlanHandle* plan) { return plan_of(plan).depth(); }

const plan::Tensor& tensor_of(PlanHandle* plan, int32_t index) { return plan_of(plan).graph().tensors.at(static_cast<size_t>(index)); }

int read(PlanHandle* plan, int32_t section, int32_t tensor, float* data, int32_t* kept, Failure* failure) {
  return guarded(failure, [&] { *kept = plan_of(plan).read(static_cast<plan::Section>(section), tensor_of(plan, tensor), data) ? 1 : 0; });
}

int write(PlanHandle* plan, int32_t section, int32_t tensor, const float* data, int32_t* kept, Failure* failure) {
  return guarded(failure, [&] { *kept = plan_of(plan).write(static_cast<plan::Section>(section), tensor_of(plan, tensor), data) ? 1 : 0; });
}

int submit(PlanHandle* plan, const float* images, const int32_t* labels, const int32_t* labels2, const float* mix, float lr,
           Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).submit(images, {labels, labels2, mix}, lr); });
}

int submit_pictures(PlanHandle* plan, const Pictures* pictures, const int32_t* labels, const int32_t* labels2, const float* mix, float lr,
                    Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).submit(*pictures, {labels, labels2, mix}, lr); });
}

int collect(PlanHandle* plan, OutcomeData* outcome, Failure* failure) {
  return guarded(failure, [&] {
    const plan::StepOutcome o = plan_of(plan).collect();
    *outcome = {o.totals.loss, o.gradient_norm, o.totals.top1, o.totals.top5, o.finite ? 1 : 0, o.together};
  });
}

int submit_evaluation(PlanHandle* plan, const float* images, const int32_t* labels, int32_t count, Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).submit_evaluation(images, labels, count); });
}

int submit_evaluation_pictures(PlanHandle* plan, const Pictures* pictures, const int32_t* labels, int32_t count, Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).submit_evaluation(*pictures, labels, count); });
}

int collect_evaluation(PlanHandle* plan, OutcomeData* totals, Failure* failure) {
  return guarded(failure, [&] {
    const plan::Totals t = plan_of(plan).collect_evaluation();
    *totals = {t.loss, 0, t.top1, t.top5, 1, 1};
  });
}

int infer(PlanHandle* plan, const float* images, int32_t count, float* out, Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).infer(images, count, out); });
}

int block_forward(PlanHandle* plan, const float* x, float* y, Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).block_forward(x, y); });
}

int block_backward(PlanHandle* plan, const float* dy, float* dx, Failure* failure) {
  return guarded(failure, [&] { plan_of(plan).block_backward(dy, dx); });
}

}  // namespace

Api serve(const char* build, const Backend& backend) {
  served = backend;
  return {.version = kApiVersion,
          .build = build,
          .devices = backend.devices,
          .libraries = backend.libraries,
          .make_rank_id = make_rank_id,
          .plan_memory = plan_memory,
          .build_plan = build_plan,
          .free_plan = free_plan,
          .memory = memory,
          .steps = steps,
          .depth = depth,
          .read = read,
          .write = write,
          .submit = submit,
          .submit_pictures = submit_pictures,
          .collect = collect,
          .submit_evaluation = submit_evaluation,
          .submit_evaluation_pictures = submit_evaluation_pictures,
          .collect_evaluation = collect_evaluation,
          .infer = infer,
          .block_forward = block_forward,
          .block_backward = block_backward};
}

}  // namespace sknet::plugin
