#include "data/warp.h"

#include <algorithm>
#include <cmath>

#include "data/portable_math.h"

namespace sknet::data {

namespace {

// `in` at (x, y), where pixel i covers [i, i + 1): two pixels across, two down, the outermost ones continued.
void sample_bilinear(const uint8_t* in, int width, int height, double x, double y, uint8_t* out) {
  const double left = std::floor(x - 0.5), top = std::floor(y - 0.5);
  const double dx = x - 0.5 - left, dy = y - 0.5 - top;
  const int x0 = std::clamp(static_cast<int>(left), 0, width - 1), x1 = std::clamp(static_cast<int>(left) + 1, 0, width - 1);
  const int y0 = std::clamp(static_cast<int>(top), 0, height - 1), y1 = std::clamp(static_cast<int>(top) + 1, 0, height - 1);
  const uint8_t *above = in + int64_t{3} * y0 * width, *below = in + int64_t{3} * y1 * width;
  for (int c = 0; c < 3; ++c) {
    const double a = above[3 * x0 + c] + (above[3 * x1 + c] - above[3 * x0 + c]) * dx;
    const double b = below[3 * x0 + c] + (below[3 * x1 + c] - below[3 * x0 + c]) * dx;
    out[c] = static_cast<uint8_t>(a + (b - a) * dy);
  }
}

// 16.16 fixed point, as Pillow's nearest neighbour walks over the source.
int64_t fixed(double v) { return static_cast<int64_t>(std::floor(v * 65536.0 + 0.5)); }

}  // namespace

AffineMap rotation_map(double turns, int width, int height) {
  const double positive = turns - std::floor(turns);
  const auto [sin, cos] = portable_sincos(positive < 1 ? positive : 0);
  const double x = width / 2.0, y = height / 2.0;
  return {cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y};
}

void warp(Pixels pixels, const WarpOptions& options, std::vector<uint8_t>& scratch) {
  const auto [rgb, width, height] = pixels;
  const AffineMap& m = options.map;
  scratch.assign(rgb, rgb + 3 * pixels.count());
  uint8_t* out = rgb;
  const int64_t fixed_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), fixed_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
  const std::array<int64_t, 4> step{fixed(m[0]), fixed(m[1]), fixed(m[3]), fixed(m[4])};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x, out += 3) {
      if (options.nearest) {
        const int64_t from_x = (fixed_x + x * step[0] + y * step[1]) >> 16, from_y = (fixed_y + x * step[2] + y * step[3]) >> 16;
        const bool inside = from_x >= 0 && from_x < width && from_y >= 0 && from_y < height;
        std::copy_n(inside ? scratch.data() + 3 * (from_y * width + from_x) : options.fill.data(), 3, out);
        continue;
      }
      const double from_x = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2], from_y = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
      if (from_x < 0 || from_x >= width || from_y < 0 || from_y >= height) {
        std::copy_n(options.fill.data(), 3, out);
      } else {
        sample_bilinear(scratch.data(), width, height, from_x, from_y, out);
      }
    }
  }
}

}  // namespace sknet::data
