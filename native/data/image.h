// Decoded pictures, whole or the part of them that is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sknet::data {

struct Window {
  int x, y, width, height;
};

// Where pixels lie in the picture they are of.
struct Place {
  int full_width, full_height;  // the whole picture's size
  int x = 0, y = 0;             // of the first pixel, in the whole picture
  int shrink = 1;               // each pixel stands for shrink x shrink of the whole picture's, fewer at its right and lower edge
};

// RGB pixels somewhere in memory.
struct ImageView {
  const uint8_t* data;
  int width, height;
  int64_t stride;  // bytes from row to row
  Place place;
};

struct Image {
  std::vector<uint8_t> rgb;  // row-major, [height, width, 3]
  int width = 0;
  int height = 0;
  Place place{};

  // A whole picture. Keeps the memory it has where that is enough.
  void resize(int new_width, int new_height) { resize(new_width, new_height, {new_width, new_height}); }
  void resize(int new_width, int new_height, const Place& new_place) {
    width = new_width;
    height = new_height;
    place = new_place;
    rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  }
  ImageView view() const { return {rgb.data(), width, height, int64_t{3} * width, place}; }
};

}  // namespace sknet::data
