// Pictures of one size that are in memory already.
#pragma once

#include <memory>
#include <vector>

#include "data/source.h"

namespace sknet::data {

// images: RGB, 8 bits, [labels.size(), height, width, 3].
std::unique_ptr<Source> make_memory_source(std::vector<uint8_t> images, std::vector<int32_t> labels, int height, int width);

}  // namespace sknet::data
