// Plans made from binding.d.ts PlanOptions.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <string>

#include "binding/convert.h"
#include "plan/plan.h"

namespace sknet::binding {

struct OpenedPlan {
  std::string device;  // as it was asked for
  std::shared_ptr<plan::Plan> plan;
};

// What makes the plan, to be called on any thread: the options are read here.
std::function<OpenedPlan()> plan_maker(const Options& options);

// async: openPlan(options) of binding.d.ts, a Plan made on a native thread.
Napi::Value open_plan(const Napi::CallbackInfo& info);
// sync: planMemory(options).
Napi::Value plan_memory(const Napi::CallbackInfo& info);

Napi::Value memory_to_js(Napi::Env env, const plan::MemoryReport& report);

}  // namespace sknet::binding
