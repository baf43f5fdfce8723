// Transform::hand_over: how a picture goes into a batch of bytes, and what is left to do with it.
#include <algorithm>
#include <cstring>
#include <vector>

#include "data/transform.h"

namespace sknet::data {

namespace {

// What is more times as many bytes as the crop is resized here: it costs as much to copy as to resize, and takes the room of many others.
constexpr int64_t kMostTimes = 8;

struct Rows {
  const uint8_t* data;
  int64_t stride;
  int width, height;
};

void copy_rows(const Rows& rows, uint8_t* to) {
  const size_t bytes = size_t{3} * static_cast<size_t>(rows.width);
  for (int y = 0; y < rows.height; ++y) std::memcpy(to + static_cast<size_t>(y) * bytes, rows.data + y * rows.stride, bytes);
}

PictureAxis straight(int at, int count) { return {.at = at, .count = count, .taps = 0, .first = 0, .table = 0}; }

int64_t bytes_of(const std::vector<int32_t>& table) { return picture_bytes(static_cast<int64_t>(table.size() * sizeof(int32_t))); }

// Room that every image has.
void store(const Rows& rows, PictureArena& arena, Picture& picture) {
  picture.pixels = arena.take(int64_t{3} * rows.width * rows.height);
  picture.width = rows.width;
  copy_rows(rows, arena.at(picture.pixels));
}

}  // namespace

bool Transform::hand_over(const ImageView& image, const SampleKey& key, TransformScratch& scratch, PictureArena& arena,
                          Picture& picture) const {
  picture = {.flip = flips(key) ? 1 : 0};
  if (options_.geometry == Geometry::kPadCrop) {
    hand_over_padded(options_.effects.empty() ? image : with_effects(image, key, scratch), key, arena, picture);
    return true;
  }
  const Resize resize = resize_of(image, key);
  const bool on_device = options_.effects.empty();
  if (on_device && hand_over_part(resize, image.stride, scratch, arena, picture)) return true;
  uint8_t* pixels = finished_pixels(resize, image.stride, key, scratch);
  store({pixels, int64_t{3} * options_.width, options_.width, options_.height}, arena, picture);
  picture.x = straight(0, options_.width);
  picture.y = straight(0, options_.height);
  return !on_device;
}

void Transform::hand_over_padded(const ImageView& image, const SampleKey& key, PictureArena& arena, Picture& picture) const {
  const Offset crop = pad_crop_offset(image, key);
  // Of an axis, the crop's pixels that lie on the image.
  const auto covered = [](int start, int size, int pixels_there) {
    const int begin = std::clamp(-start, 0, size);
    return straight(begin, std::clamp(pixels_there - start, begin, size) - begin);
  };
  picture.x = covered(crop.left, options_.width, image.width);
  picture.y = covered(crop.top, options_.height, image.height);
  if (picture.x.count == 0 || picture.y.count == 0) return;
  const uint8_t* first = image.data + (crop.top + picture.y.at) * image.stride + int64_t{3} * (crop.left + picture.x.at);
  store({first, image.stride, picture.x.count, picture.y.count}, arena, picture);
}

bool Transform::hand_over_part(const Resize& work, int64_t stride, TransformScratch& scratch, PictureArena& arena, Picture& picture) const {
  const ResizeOptions& o = work.options;
  const Resizer::Needed columns = Resizer::needed(o.horizontal, o.width, o.window.x, o.window.width, o.filter);
  const Resizer::Needed rows = Resizer::needed(o.vertical, o.height, o.window.y, o.window.height, o.filter);
  const int64_t pixels = int64_t{3} * columns.count * rows.count;
  if (pixels > kMostTimes * 3 * options_.width * options_.height) return false;
  Resizer& resizer = scratch.resizer;
  const auto axis = [&](const Span& span, int out_size, int first, int count, int at, std::vector<int32_t>& table) {
    PictureAxis result = straight(at, count);
    result.taps = resizer.table(span, out_size, first, count, o.filter, table);
    return result;
  };
  picture.x = axis(o.horizontal, o.width, o.window.x, o.window.width, work.left, scratch.columns);
  picture.y = axis(o.vertical, o.height, o.window.y, o.window.height, work.top, scratch.rows);
  const int64_t at = arena.take(picture_bytes(pixels) + bytes_of(scratch.columns) + bytes_of(scratch.rows));
  if (at < 0) return false;
  picture.pixels = at;
  picture.width = columns.count;
  picture.black = 1;
  const uint8_t* first = work.data + (rows.first - o.y) * stride + int64_t{3} * (columns.first - o.x);
  copy_rows({first, stride, columns.count, rows.count}, arena.at(at));
  picture.x.table = at + picture_bytes(pixels);
  picture.y.table = picture.x.table + bytes_of(scratch.columns);
  std::memcpy(arena.at(picture.x.table), scratch.columns.data(), scratch.columns.size() * sizeof(int32_t));
  std::memcpy(arena.at(picture.y.table), scratch.rows.data(), scratch.rows.size() * sizeof(int32_t));
  return true;
}

}  // namespace sknet::data
