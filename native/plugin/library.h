// Finding and loading plugins. They are loaded when first asked for and stay; nothing of the package needs one to work.
#pragma once

#include <string>

#include "plugin/api.h"

namespace sknet::plugin {

enum class Kind { kCuda, kCudaEmulated };

// A device's name as people write it: cuda, cuda:N, cuda-emulated.
struct DeviceName {
  Kind kind;
  int index = 0;
};
// Throws Error ERR_SKNET_DEVICE for any other name.
DeviceName parse_device(const std::string& name);

// Where the plugin is looked for: the addon's folder, or SKNET_PLUGIN_DIR.
std::string plugin_path(Kind kind);
// Throws Error ERR_SKNET_DEVICE saying why there is none and what to do. Asking again tries again.
const Api& load_plugin(Kind kind);

}  // namespace sknet::plugin
