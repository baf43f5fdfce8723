#include "plans.h"

#include <cmath>

#include "core/philox.h"
#include "plan/cpu_plan.h"
#include "plugin/library.h"
#include "plugin/plugin_plan.h"

namespace sknet::driver {

namespace {

constexpr uint64_t kSeed = 7;

PhiloxStream stream_of(uint32_t stream) { return {kSeed, 0, stream, RandomPurpose::kInit}; }

}  // namespace

std::unique_ptr<plan::Plan> open_plan(const std::string& device, plan::PlanSpec spec) {
  spec.threads = available_threads();
  spec.isa = isa_in_use();
  if (device == "cpu") return std::make_unique<plan::CpuPlan>(std::move(spec));
  const plugin::DeviceName name = plugin::parse_device(device);
  return std::make_unique<plugin::PluginPlan>(plugin::load_plugin(name.kind), std::move(spec), name.index);
}

std::vector<float> numbers(int64_t count, float scale, uint32_t stream) {
  PhiloxStream random = stream_of(stream);
  std::vector<float> list(static_cast<size_t>(count));
  for (float& value : list) value = scale * (2 * random.uniform() - 1);
  return list;
}

void fill_tensors(plan::Plan& plan) {
  uint32_t stream = 100;
  for (const plan::Tensor& t : plan.graph().tensors) {
    std::vector<float> values;
    if (t.name.ends_with(".running_var")) {
      values = numbers(t.size(), 0.25f, stream);
      for (float& value : values) value += 1;
    } else if (t.shape.size() > 1) {
      const auto fan_in = static_cast<float>(t.size() / t.shape[0]);
      values = numbers(t.size(), std::sqrt(6 / fan_in), stream);  // variance 2 / fan_in
    } else {
      values = numbers(t.size(), 0.3f, stream);
      if (t.name.ends_with(".weight")) {
        for (float& value : values) value += 1;
      }
    }
    plan.write(plan::Section::kValue, t, values.data());
    ++stream;
  }
}

std::vector<int32_t> classes(int count, int classes) {
  PhiloxStream random = stream_of(1);
  std::vector<int32_t> labels(static_cast<size_t>(count));
  for (int32_t& label : labels) label = static_cast<int32_t>(random.below(static_cast<uint32_t>(classes)));
  return labels;
}

}  // namespace sknet::driver
