#include "binding/open_plan.h"

#include <utility>

#include "binding/addon_data.h"
#include "binding/async.h"
#include "binding/error.h"
#include "binding/plan_options.h"
#include "plan/cpu_plan.h"
#include "plugin/library.h"
#include "plugin/plugin_plan.h"

namespace sknet::binding {

namespace {

std::string device_of(const Options& options) { return options.has("device") ? options.string("device") : "cpu"; }

plan::MemoryReport memory_of(const plan::PlanSpec& spec, const std::string& device) {
  if (device == "cpu") return plan::cpu_plan_memory(spec);
  const plugin::DeviceName name = plugin::parse_device(device);
  return plugin::plan_memory(plugin::load_plugin(name.kind), spec, name.index);
}

}  // namespace

std::function<OpenedPlan()> plan_maker(const Options& options) {
  return [device = device_of(options), spec = plan_spec(options)]() -> OpenedPlan {
    if (device == "cpu") return {device, std::make_shared<plan::CpuPlan>(spec)};
    const plugin::DeviceName name = plugin::parse_device(device);
    return {device, std::make_shared<plugin::PluginPlan>(plugin::load_plugin(name.kind), spec, name.index)};
  };
}

Napi::Value open_plan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const auto opened = std::make_shared<OpenedPlan>();
    AsyncCall call;
    call.work = [opened, make = plan_maker(Options(info[0]))] { *opened = make(); };
    call.finish = [opened](Napi::Env e) -> Napi::Value {
      return AddonData::from(e).plan_class.New({Napi::External<OpenedPlan>::New(e, opened.get())});
    };
    return run_async(env, std::move(call));
  });
}

Napi::Value plan_memory(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Options options(info[0]);
    return memory_to_js(info.Env(), memory_of(plan_spec(options), device_of(options)));
  });
}

Napi::Value memory_to_js(Napi::Env env, const plan::MemoryReport& report) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("parameters", static_cast<double>(report.parameters));
  out.Set("gradients", static_cast<double>(report.gradients));
  out.Set("optimizer", static_cast<double>(report.optimizer));
  out.Set("ema", static_cast<double>(report.ema));
  out.Set("activations", static_cast<double>(report.activations));
  out.Set("workspace", static_cast<double>(report.workspace));
  out.Set("total", static_cast<double>(report.total));
  return out;
}

}  // namespace sknet::binding
