// binding.d.ts plugin().
#pragma once

#include <napi.h>

namespace sknet::binding {

Napi::Value plugin_report(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
