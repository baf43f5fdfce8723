#pragma once

#include <napi.h>

namespace sknet::binding {

// async: decodeImage(data, { maxPixels }) of binding.d.ts. The bytes are copied before it returns.
Napi::Value decode_image(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
