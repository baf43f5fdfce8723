#include "binding/cpu_info.h"

#include <fstream>
#include <string>

#include "binding/error.h"
#include "core/cpu_features.h"

namespace sknet::binding {

namespace {

// The processor's own name; "unknown" where the system does not tell.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("model", cpu_model());
    out.Set("threads", available_threads());
    Napi::Array features = Napi::Array::New(info.Env());
    for (const std::string& name : cpu_feature_names()) features.Set(features.Length(), name);
    out.Set("features", features);
    out.Set("isa", isa_name(best_isa()));
    out.Set("isaInUse", isa_name(isa_in_use()));
    return out;
  });
}

}  // namespace sknet::binding
