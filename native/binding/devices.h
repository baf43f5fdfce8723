// binding.d.ts plugin(), makeRankId().
#pragma once

#include <napi.h>

namespace sknet::binding {

Napi::Value plugin_report(const Napi::CallbackInfo& info);
Napi::Value make_rank_id(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
