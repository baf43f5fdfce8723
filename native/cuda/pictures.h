// What is left to do with a batch of bytes (core/picture.h), on the device.
#pragma once

#include <cstdint>

#include "core/picture.h"
#include "plan/layout.h"

namespace sknet::cuda {

// Images [first, first + count) of a batch that lies on the device, each height x width -> `to`: in `layout` with zeros in the padding, or
// where `rows`, as NHWC float32. Bit for bit what native/data makes of them, in bfloat16 rounded to nearest even.
void pictures_in(const Pictures& batch, int64_t first, int64_t count, int height, int width, bool rows, const plan::BlockedLayout& layout,
                 void* to, void* stream);

}  // namespace sknet::cuda
