#include "data/pixels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace sknet::data {

namespace {

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<int64_t, 256>;

// Pillow, src/libImaging/Blend.c: from `from` to `to` and beyond, cut off to whole numbers.
uint8_t blend(int from, int to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

// ITU-R 601 luma in 16-bit fixed point (Convert.c).
int luma(const uint8_t* rgb) { return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16; }

void map(Pixels pixels, const std::array<Table, 3>& tables) {
  uint8_t* value = pixels.rgb;
  for (int64_t i = 0; i < pixels.count(); ++i, value += 3) {
    for (size_t c = 0; c < 3; ++c) value[c] = tables[c][value[c]];
  }
}

template <class F>
void map_all(Pixels pixels, const F& f) {
  Table table;
  for (int v = 0; v < 256; ++v) table[static_cast<size_t>(v)] = f(v);
  map(pixels, {table, table, table});
}

std::array<Histogram, 3> histograms(Pixels pixels) {
  std::array<Histogram, 3> counts{};
  const uint8_t* value = pixels.rgb;
  for (int64_t i = 0; i < pixels.count(); ++i, value += 3) {
    for (size_t c = 0; c < 3; ++c) ++counts[c][value[c]];
  }
  return counts;
}

Table identity() {
  Table table;
  for (size_t v = 0; v < 256; ++v) table[v] = static_cast<uint8_t>(v);
  return table;
}

// RGB to hue, saturation, value in 8 bits and back (Convert.c); the mix of float and double is Pillow's.
std::array<int, 3> to_hsv(const uint8_t* rgb) {
  const int r = rgb[0], g = rgb[1], b = rgb[2];
  const int most = std::max({r, g, b}), least = std::min({r, g, b});
  if (most == least) return {0, 0, most};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range;
  const float bc = static_cast<float>(most - b) / range;
  float h = 0;
  if (r == most) {
    h = bc - gc;
  } else if (g == most) {
    h = static_cast<float>(2.0 + rc - bc);
  } else {
    h = static_cast<float>(4.0 + gc - rc);
  }
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  return {std::clamp(static_cast<int>(h * 255.0), 0, 255), std::clamp(static_cast<int>(s * 255.0), 0, 255), most};
}

void from_hsv(const std::array<int, 3>& hsv, uint8_t* rgb) {
  const auto [h, s, v] = hsv;
  const auto byte = [](double x) { return static_cast<uint8_t>(std::clamp(static_cast<int>(std::round(x)), 0, 255)); };
  const auto value = static_cast<uint8_t>(v);
  if (s == 0) {
    rgb[0] = rgb[1] = rgb[2] = value;
    return;
  }
  const double sixth = static_cast<float>(h) * 6.0 / 255.0;
  const int i = static_cast<int>(std::floor(sixth));
  const auto f = static_cast<float>(sixth - static_cast<float>(i));
  const auto fs = static_cast<float>(static_cast<float>(s) / 255.0);
  const uint8_t p = byte(static_cast<float>(v) * (1.0 - fs)), q = byte(static_cast<float>(v) * (1.0 - fs * f));
  const uint8_t t = byte(static_cast<float>(v) * (1.0 - fs * (1.0 - f)));
  const std::array<std::array<uint8_t, 3>, 6> sectors = {
      {{value, t, p}, {q, value, p}, {p, value, t}, {p, q, value}, {t, p, value}, {value, p, q}}};
  std::copy_n(sectors[static_cast<size_t>(i % 6)].data(), 3, rgb);
}

}  // namespace

void adjust_brightness(Pixels pixels, float factor) {
  map_all(pixels, [&](int v) { return blend(0, v, factor); });
}

void adjust_contrast(Pixels pixels, float factor) {
  int64_t sum = 0;
  for (int64_t i = 0; i < pixels.count(); ++i) sum += luma(pixels.rgb + 3 * i);
  const int mean = static_cast<int>(static_cast<double>(sum) / static_cast<double>(pixels.count()) + 0.5);
  map_all(pixels, [&](int v) { return blend(mean, v, factor); });
}

void adjust_saturation(Pixels pixels, float factor) {
  uint8_t* value = pixels.rgb;
  for (int64_t i = 0; i < pixels.count(); ++i, value += 3) {
    const int grey = luma(value);
    for (int c = 0; c < 3; ++c) value[c] = blend(grey, value[c], factor);
  }
}

void adjust_sharpness(Pixels pixels, float factor, std::vector<uint8_t>& scratch) {
  const int64_t row = int64_t{3} * pixels.width;
  scratch.assign(pixels.rgb, pixels.rgb + row * pixels.height);
  // ImageFilter.SMOOTH; the outermost pixels are not smoothed.
  constexpr float kSide = 1.0f / 13, kMiddle = 5.0f / 13;
  for (int y = 1; y + 1 < pixels.height; ++y) {
    const uint8_t* above = scratch.data() + (y - 1) * row;
    const uint8_t *here = above + row, *below = here + row;
    for (int64_t x = 3; x < row - 3; ++x) {
      const auto three = [x](const uint8_t* r, float middle) {
        return static_cast<float>(r[x - 3]) * kSide + static_cast<float>(r[x]) * middle + static_cast<float>(r[x + 3]) * kSide;
      };
      const float sum = 0.5f + three(below, kSide) + three(here, kMiddle) + three(above, kSide);
      pixels.rgb[y * row + x] = blend(static_cast<uint8_t>(std::clamp(sum, 0.0f, 255.0f)), here[x], factor);
    }
  }
}

void adjust_hue(Pixels pixels, double turns) {
  const int shift = static_cast<int>(turns * 255);
  uint8_t* value = pixels.rgb;
  for (int64_t i = 0; i < pixels.count(); ++i, value += 3) {
    std::array<int, 3> hsv = to_hsv(value);
    hsv[0] = (hsv[0] + shift) & 255;
    from_hsv(hsv, value);
  }
}

void posterize(Pixels pixels, int bits) {
  map_all(pixels, [&](int v) { return static_cast<uint8_t>(v & ~((1 << (8 - bits)) - 1)); });
}

void solarize(Pixels pixels, double threshold) {
  map_all(pixels, [&](int v) { return static_cast<uint8_t>(v < threshold ? v : 255 - v); });
}

void autocontrast(Pixels pixels) {
  const std::array<Histogram, 3> counts = histograms(pixels);
  std::array<Table, 3> tables{identity(), identity(), identity()};
  for (size_t c = 0; c < 3; ++c) {
    int low = 0, high = 255;
    while (low < 255 && counts[c][static_cast<size_t>(low)] == 0) ++low;
    while (high > 0 && counts[c][static_cast<size_t>(high)] == 0) --high;
    if (high <= low) continue;
    const double scale = 255.0 / (high - low), offset = -low * scale;
    for (int v = 0; v < 256; ++v) {
      tables[c][static_cast<size_t>(v)] = static_cast<uint8_t>(std::clamp(static_cast<int>(v * scale + offset), 0, 255));
    }
  }
  map(pixels, tables);
}

void equalize(Pixels pixels) {
  const std::array<Histogram, 3> counts = histograms(pixels);
  std::array<Table, 3> tables{identity(), identity(), identity()};
  for (size_t c = 0; c < 3; ++c) {
    size_t last = 255;
    while (last > 0 && counts[c][last] == 0) --last;
    const int64_t step = (pixels.count() - counts[c][last]) / 255;
    if (step == 0) continue;
    int64_t n = step / 2;
    for (size_t v = 0; v < 256; n += counts[c][v++]) tables[c][v] = static_cast<uint8_t>(std::min<int64_t>(n / step, 255));
  }
  map(pixels, tables);
}

void add_offsets(Pixels pixels, std::span<const int, 3> offsets) {
  std::array<Table, 3> tables;
  for (size_t c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) tables[c][static_cast<size_t>(v)] = static_cast<uint8_t>(std::clamp(v + offsets[c], 0, 255));
  }
  map(pixels, tables);
}

}  // namespace sknet::data
