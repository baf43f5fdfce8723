#include "plugin/library.h"

#include <dlfcn.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "core/error.h"

namespace sknet::plugin {

namespace {

namespace fs = std::filesystem;

// The folder this code was loaded from.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&plugin_path), &info) == 0 || info.dli_fname == nullptr) return ".";
  return fs::path(info.dli_fname).parent_path().string();
}

const char* device_of(Kind kind) { return kind == Kind::kCuda ? "cuda" : "cuda-emulated"; }

Error no_plugin(Kind kind, const std::string& path, const std::string& why, const std::string& expected) {
  Error error("ERR_SKNET_DEVICE", std::string("device ") + device_of(kind) + ": " + why + "; " + expected);
  error.with_option("device").with_got(device_of(kind)).with_path(path).with_expected(expected);
  return error;
}

const Api& load(Kind kind) {
  const std::string path = plugin_path(kind);
  const char* rebuild = "build it again together with the addon: npm run build:native";
  if (!fs::exists(path)) {
    throw no_plugin(kind, path, path + " is not there",
                    kind == Kind::kCuda ? "install a package with the CUDA backend, or build it where nvcc is: npm run build:native"
                                        : "only development builds have the emulated device");
  }
  // Local names and bound at once: a plugin that cannot work fails here, and touches nothing of the addon.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    throw no_plugin(kind, path, std::string("it cannot be loaded: ") + (why == nullptr ? "no reason given" : why), rebuild);
  }
  const auto entry = reinterpret_cast<Entry>(dlsym(library, kEntry));
  if (entry == nullptr) throw no_plugin(kind, path, path + " is no plugin of sknet", rebuild);
  const Api* api = entry(kApiVersion);
  if (api == nullptr || api->version != kApiVersion) {
    throw no_plugin(kind, path, path + " does not speak version " + std::to_string(kApiVersion) + " of the plugins' interface", rebuild);
  }
  if (std::string(api->build) != SKNET_VERSION) {
    throw no_plugin(kind, path, path + " is of version " + api->build + ", the addon of " SKNET_VERSION, rebuild);
  }
  return *api;
}

}  // namespace

DeviceName parse_device(const std::string& name) {
  if (name == "cuda") return {Kind::kCuda};
  if (name == "cuda-emulated") return {Kind::kCudaEmulated};
  const std::string prefix = "cuda:";
  DeviceName device{Kind::kCuda};
  const char* end = name.data() + name.size();
  if (name.starts_with(prefix)) {
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, device.index);
    if (error == std::errc() && stop == end && device.index >= 0) return device;
  }
  throw Error("ERR_SKNET_DEVICE", "device: unknown '" + name + "'")
      .with_option("device")
      .with_got(name)
      .with_expected("cpu, cuda, cuda:N or cuda-emulated");
}

std::string plugin_path(Kind kind) {
  const char* folder = std::getenv("SKNET_PLUGIN_DIR");
  const fs::path base = folder != nullptr && *folder != '\0' ? folder : own_folder();
  return (base / (kind == Kind::kCuda ? "sknet_cuda.so" : "sknet_cuda_emulated.so")).string();
}

const Api& load_plugin(Kind kind) {
  static std::mutex mutex;
  static const Api* loaded[2] = {};
  const std::lock_guard lock(mutex);
  const Api*& api = loaded[static_cast<int>(kind)];
  if (api == nullptr) api = &load(kind);
  return *api;
}

}  // namespace sknet::plugin
