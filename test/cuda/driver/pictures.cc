#include "pictures.h"

#include <algorithm>
#include <cstring>

#include "core/philox.h"

namespace sknet::driver {

namespace {

PhiloxStream stream_of(uint32_t stream) { return {11, 0, stream, RandomPurpose::kInit}; }

constexpr int kTaps = 5;

int to_byte(int32_t sum) { return std::clamp(sum >> kWeightBits, 0, 255); }

}  // namespace

MadePictures::MadePictures(int count, int height, int width, bool plain) : height_(height), width_(width) {
  for (int c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) table_.push_back((static_cast<float>(v) / 255.0f - 0.4f - 0.05f * static_cast<float>(c)) / 0.23f);
  }
  for (int n = 0; n < count; ++n) {
    const bool resized = !plain && n % 3 == 1, padded = !plain && n % 3 == 2;
    const int rows = resized ? 2 * height + 3 : height, columns = resized ? width / 2 + kTaps : width;
    Picture p{.pixels = static_cast<int64_t>(bytes_.size()), .width = columns, .flip = plain ? 0 : n / 2 % 2, .black = n % 2};
    PhiloxStream random = stream_of(static_cast<uint32_t>(n));
    bytes_.resize(bytes_.size() + static_cast<size_t>(picture_bytes(int64_t{3} * rows * columns)));
    for (auto byte = bytes_.begin() + p.pixels; byte != bytes_.end(); ++byte) *byte = static_cast<uint8_t>(random.next_u32() >> 24);
    p.x = axis(width, columns, padded, resized, static_cast<uint32_t>(2 * n));
    p.y = axis(height, rows, padded, resized, static_cast<uint32_t>(2 * n + 1));
    if (!plain && n % 8 >= 4) {
      p.partner = n % 2 == 0 ? 1 : -1;
      p.share = 0.3f;
      if (n % 8 >= 6) p.cut_left = width / 4, p.cut_right = width - 1, p.cut_top = 1, p.cut_bottom = height / 2 + 1;
    }
    pictures_.push_back(p);
  }
}

// Weights of any kind, some negative, whose sum is one or not.
PictureAxis MadePictures::axis(int size, int stored, bool padded, bool resized, uint32_t stream) {
  const int margin = padded ? size / 4 : 0;
  PictureAxis axis{.at = margin, .count = size - 2 * margin, .taps = resized ? kTaps : 0, .first = 0, .table = 0};
  if (!resized) return axis;
  PhiloxStream random = stream_of(1000 + stream);
  std::vector<int32_t> table;
  for (int i = 0; i < axis.count; ++i) table.push_back(i * (stored - kTaps) / size);
  for (int i = 0; i < axis.count; ++i) table.push_back(1 + static_cast<int32_t>(random.below(kTaps)));
  for (int i = 0; i < axis.count * kTaps; ++i) {
    table.push_back(static_cast<int32_t>(random.below(3u << (kWeightBits - 3))) - (1 << (kWeightBits - 5)));
  }
  axis.table = static_cast<int64_t>(bytes_.size());
  const auto bytes = static_cast<int64_t>(table.size() * sizeof(int32_t));
  bytes_.resize(bytes_.size() + static_cast<size_t>(picture_bytes(bytes)));
  std::memcpy(bytes_.data() + axis.table, table.data(), static_cast<size_t>(bytes));
  return axis;
}

float MadePictures::value(const Picture& p, int y, int x, int c) const {
  const int i = y - p.y.at, j = (p.flip != 0 ? width_ - 1 - x : x) - p.x.at;
  const float* table = table_.data() + 256 * c;
  if (i < 0 || i >= p.y.count || j < 0 || j >= p.x.count) return p.black != 0 ? table[0] : 0;
  const auto stored = [&](int row, int column) { return bytes_[static_cast<size_t>(p.pixels + 3 * (int64_t{row} * p.width + column) + c)]; };
  // Sums f(stored pixel) over what pixel `at` of an axis is made of.
  const auto along = [&](const PictureAxis& axis, int at, const auto& f) -> int {
    if (axis.taps == 0) return f(axis.first + at);
    std::vector<int32_t> numbers(static_cast<size_t>(axis.count) * static_cast<size_t>(2 + axis.taps));
    std::memcpy(numbers.data(), bytes_.data() + axis.table, numbers.size() * sizeof(int32_t));
    int32_t sum = kWeightHalf;
    for (int k = 0; k < numbers[static_cast<size_t>(axis.count + at)]; ++k) {
      sum += f(numbers[static_cast<size_t>(at)] + k) * numbers[static_cast<size_t>(2 * axis.count + at * axis.taps + k)];
    }
    return to_byte(sum);
  };
  return table[along(p.y, i, [&](int row) { return along(p.x, j, [&](int column) -> int { return stored(row, column); }); })];
}

std::vector<float> MadePictures::floats() const {
  std::vector<float> list;
  for (const Picture& p : pictures_) {
    const Picture& partner = *(&p + p.partner);
    const bool cut = p.cut_right > p.cut_left;
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x) {
        const bool inside = cut && x >= p.cut_left && x < p.cut_right && y >= p.cut_top && y < p.cut_bottom;
        for (int c = 0; c < 3; ++c) {
          float v = value(inside ? partner : p, y, x, c);
          if (p.partner != 0 && !cut) {
            // Volatile: two roundings, not one.
            const volatile float own = p.share * v, other = (1 - p.share) * value(partner, y, x, c);
            v = own + other;
          }
          list.push_back(v);
        }
      }
    }
  }
  return list;
}

}  // namespace sknet::driver
