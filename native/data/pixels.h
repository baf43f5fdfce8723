// Changes of a picture's colours, with Pillow's arithmetic: the same bytes as ImageEnhance, ImageOps and torchvision's functions on PIL
// images give. All work in place on RGB pixels, row-major and without gaps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sknet::data {

struct Pixels {
  uint8_t* rgb;
  int width, height;

  int64_t count() const { return static_cast<int64_t>(width) * height; }
};

// Factor 1 changes nothing; 0 gives black, the mean grey, grey, a blurred picture.
void adjust_brightness(Pixels pixels, float factor);
void adjust_contrast(Pixels pixels, float factor);
void adjust_saturation(Pixels pixels, float factor);
// `scratch` keeps its memory from call to call.
void adjust_sharpness(Pixels pixels, float factor, std::vector<uint8_t>& scratch);
// Turns the hue by a share of the circle, -0.5 to 0.5.
void adjust_hue(Pixels pixels, double turns);
// Keeps the upper `bits` of each value, 1 to 8.
void posterize(Pixels pixels, int bits);
// Inverts what is at least `threshold`.
void solarize(Pixels pixels, double threshold);
// Each channel's least value becomes 0, its greatest 255.
void autocontrast(Pixels pixels);
// Each channel's histogram is flattened.
void equalize(Pixels pixels);
// Adds an offset to each channel and cuts off at 0 and 255.
void add_offsets(Pixels pixels, std::span<const int, 3> offsets);

}  // namespace sknet::data
