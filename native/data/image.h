// A decoded picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sknet::data {

struct Image {
  std::vector<uint8_t> rgb;  // row-major, [height, width, 3]
  int width = 0;
  int height = 0;

  // Keeps the memory it has where that is enough.
  void resize(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  }
};

}  // namespace sknet::data
