#pragma once

#include <cstdint>
#include <span>

#include "data/decode.h"
#include "data/image.h"

namespace sknet::data {

// JPEG through libjpeg-turbo: baseline and progressive, 8 bits; see decode_image for colour, parts and errors. A progressive file may have
// at most 100 scans. Stray bytes between markers, which cameras and old tools leave, are accepted; damaged or missing picture data is not.
// CMYK is decoded whole.
void decode_jpeg(std::span<const uint8_t> bytes, int64_t max_pixels, const ChoosePart& choose, Image& out);

}  // namespace sknet::data
