#include "binding/devices.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/convert.h"
#include "binding/error.h"
#include "core/error.h"
#include "plugin/library.h"
#include "plugin/wire.h"

namespace sknet::binding {

namespace {

Napi::Value text_or_null(Napi::Env env, const std::string& text) { return text.empty() ? env.Null() : Napi::String::New(env, text); }

Napi::Value version_or_null(Napi::Env env, int version) {
  if (version == 0) return env.Null();
  return Napi::String::New(env, std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10));
}

Napi::Object device_to_js(Napi::Env env, int index, const plugin::DeviceData& device) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("index", index);
  out.Set("name", device.name);
  out.Set("capability", std::to_string(device.major) + "." + std::to_string(device.minor));
  out.Set("processors", device.processors);
  out.Set("bytes", static_cast<double>(device.total_bytes));
  out.Set("reason", text_or_null(env, device.unusable));
  return out;
}

void library_to_js(void* context, const plugin::LibraryData* library) {
  Napi::Array& list = *static_cast<Napi::Array*>(context);
  const Napi::Env env = list.Env();
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", library->name);
  out.Set("path", text_or_null(env, library->path));
  out.Set("version", text_or_null(env, library->version));
  out.Set("reason", text_or_null(env, library->reason));
  list.Set(list.Length(), out);
}

Napi::Object plugin_to_js(Napi::Env env, const std::string& name, plugin::Kind kind) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", name);
  out.Set("path", plugin::plugin_path(kind));
  out.Set("driver", env.Null());
  out.Set("runtime", env.Null());
  Napi::Array devices = Napi::Array::New(env);
  out.Set("devices", devices);
  Napi::Array libraries = Napi::Array::New(env);
  out.Set("libraries", libraries);
  try {
    const auto found = std::make_unique<plugin::DevicesData>();
    const plugin::Api& api = plugin::load_plugin(kind);
    api.devices(found.get());
    api.libraries(library_to_js, &libraries);
    out.Set("reason", text_or_null(env, found->unusable));
    out.Set("driver", version_or_null(env, found->driver_version));
    out.Set("runtime", version_or_null(env, found->runtime_version));
    for (int i = 0; i < found->count; ++i) devices.Set(static_cast<uint32_t>(i), device_to_js(env, i, found->devices[i]));
  } catch (const Error& error) {
    out.Set("reason", error.what());
  }
  return out;
}

}  // namespace

Napi::Value plugin_report(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string name = string_argument(info, 0, "name");
    return plugin_to_js(info.Env(), name, plugin::parse_device(name).kind);
  });
}

Napi::Value make_rank_id(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::vector<uint8_t> id(plugin::kRankIdBytes);
    plugin::Failure failure;
    const plugin::Api& api = plugin::load_plugin(plugin::parse_device(string_argument(info, 0, "device")).kind);
    if (api.make_rank_id(reinterpret_cast<char*>(id.data()), &failure) != 0) plugin::throw_failure(failure);
    return to_uint8_array(info.Env(), std::move(id));
  });
}

}  // namespace sknet::binding
