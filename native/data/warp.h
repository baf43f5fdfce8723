// Affine maps of a picture onto itself, with Pillow's arithmetic (src/libImaging/Geometry.c, Image.transform).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/pixels.h"

namespace sknet::data {

// Where an output pixel comes from: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5], at pixel centres.
using AffineMap = std::array<double, 6>;

// Counter-clockwise about the middle, by a share of the circle (as Image.rotate by degrees / 360).
AffineMap rotation_map(double turns, int width, int height);

struct WarpOptions {
  AffineMap map;
  bool nearest = false;  // else bilinear
  std::array<uint8_t, 3> fill{};
};

// What comes from outside the picture gets the fill. `scratch` keeps its memory from call to call.
void warp(Pixels pixels, const WarpOptions& options, std::vector<uint8_t>& scratch);

}  // namespace sknet::data
