#pragma once

#include <napi.h>

namespace sknet::binding {

// sync: randomNormal(out, { seed, stream, std }) of binding.d.ts.
void random_normal(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
