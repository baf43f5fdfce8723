// Encoded pictures to RGB: JPEG and PNG, told apart by their first bytes, never by a file name.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/image.h"

namespace sknet::data {

// What is needed of a picture. Decoders may give more: `Image.place` says what they gave.
struct Part {
  Window window;   // within the picture
  int shrink = 1;  // 1, 2, 4 or 8: pixels of that size will do
};
// Asked once, when the picture's size is known and found to be allowed.
using ChoosePart = std::function<Part(int width, int height)>;

// Decodes a file held in memory, at full size. Grey is replicated, CMYK becomes (255 - C)(255 - K) / 255, alpha is dropped, 16 bits
// are scaled to 8; EXIF orientation and colour profiles are not applied (nor does torchvision's ImageFolder).
// Throws Error ERR_SKNET_DECODE, without a path: the format found when it is neither, more than max_pixels (before pixels are allocated),
// data that is damaged or ends early. `out` keeps its memory between calls; after an error its content is unspecified.
void decode_image(std::span<const uint8_t> bytes, int64_t max_pixels, Image& out);

// The part that `choose` asks for. Its pixels at shrink 1 are those of the whole picture, bit for bit; of a JPEG only they are computed,
// and damage below them is not noticed (but a file that was cut off is).
void decode_image(std::span<const uint8_t> bytes, int64_t max_pixels, const ChoosePart& choose, Image& out);

// Throws the size-limit error of decode_image when width x height is over it.
void check_pixels(int64_t width, int64_t height, int64_t max_pixels);

}  // namespace sknet::data
