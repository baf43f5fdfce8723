#pragma once

#include <cstdint>
#include <vector>

#include "data/image.h"

namespace sknet::data {

// A baseline JPEG of `image` through libjpeg-turbo: 4:2:0, the accurate integer DCT. quality 1 to 100. The same bytes for the same image
// with one version of the library. `out` keeps its memory. Throws Error ERR_SKNET_DATA for sides that JPEG cannot hold.
void encode_jpeg(const Image& image, int quality, std::vector<uint8_t>& out);

}  // namespace sknet::data
