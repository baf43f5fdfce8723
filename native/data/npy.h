// Pictures as NumPy arrays: uint8, C order, shape (height, width, 3).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/source.h"

namespace sknet::data {

// The pixels of an .npy file, which they point into. Throws Error ERR_SKNET_DECODE, without a path: another type, order or shape, a file
// that is longer or shorter than its shape, more than max_pixels.
StoredImage parse_npy(std::span<const uint8_t> file, int64_t max_pixels);

// What comes before the pixels.
std::string npy_header(int width, int height);

}  // namespace sknet::data
