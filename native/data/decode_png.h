#pragma once

#include <cstdint>
#include <span>

#include "data/image.h"

namespace sknet::data {

// PNG through libpng: every colour type, depth and interlacing; of an animated PNG the default picture. See decode_image for colour and
// errors.
void decode_png(std::span<const uint8_t> bytes, int64_t max_pixels, Image& out);

}  // namespace sknet::data
