// cpuInfo(): what the machine offers and what is used of it.
#pragma once

#include <napi.h>

namespace sknet::binding {

Napi::Value cpu_info(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
