// A batch of bytes with something of everything left to do (core/picture.h), and the floats that come of it, by plain loops.
#pragma once

#include <vector>

#include "core/picture.h"

namespace sknet::driver {

class MadePictures {
 public:
  // Finished images only where `plain`; else padded, mirrored, resized, mixed ones in turns. `count` is even.
  MadePictures(int count, int height, int width, bool plain);

  Pictures batch() const { return {pictures_.data(), bytes_.data(), static_cast<int64_t>(bytes_.size()), table_.data()}; }
  // NHWC
  std::vector<float> floats() const;

 private:
  PictureAxis axis(int size, int stored, bool padded, bool resized, uint32_t stream);
  float value(const Picture& picture, int y, int x, int c) const;

  int height_, width_;
  std::vector<Picture> pictures_;
  std::vector<uint8_t> bytes_;
  std::vector<float> table_;
};

}  // namespace sknet::driver
