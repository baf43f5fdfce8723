#include "data/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/philox.h"

namespace sknet::data {

namespace {

constexpr int kCropTries = 10;
// The smallest size a JPEG decodes to is an eighth.
constexpr int kMostShrink = 8;
// Of a resized image of which only a window is made; keeps coordinates within int.
constexpr int64_t kMaxSide = 1 << 29;

// A crop of torchvision's RandomResizedCrop: 10 tries, then the largest central crop whose aspect is allowed.
Window draw_crop(int width, int height, const TransformOptions& options, const SampleKey& key) {
  PhiloxStream random(key.seed, key.epoch, key.sample, RandomPurpose::kCrop);
  const double area = static_cast<double>(width) * height;
  const double log_low = std::log(options.aspect[0]), log_high = std::log(options.aspect[1]);
  for (int i = 0; i < kCropTries; ++i) {
    const double target = area * (options.area[0] + (options.area[1] - options.area[0]) * random.uniform());
    const double aspect = std::exp(log_low + (log_high - log_low) * random.uniform());
    const double w = std::nearbyint(std::sqrt(target * aspect)), h = std::nearbyint(std::sqrt(target / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int crop_width = static_cast<int>(w), crop_height = static_cast<int>(h);
    const int y = static_cast<int>(random.below(static_cast<uint32_t>(height - crop_height + 1)));
    const int x = static_cast<int>(random.below(static_cast<uint32_t>(width - crop_width + 1)));
    return {x, y, crop_width, crop_height};
  }
  const double aspect = static_cast<double>(width) / height;
  int crop_width = width, crop_height = height;
  if (aspect < options.aspect[0]) crop_height = static_cast<int>(std::nearbyint(width / options.aspect[0]));
  if (aspect > options.aspect[1]) crop_width = static_cast<int>(std::nearbyint(height * options.aspect[1]));
  crop_height = std::clamp(crop_height, 1, height);
  crop_width = std::clamp(crop_width, 1, width);
  return {(width - crop_width) / 2, (height - crop_height) / 2, crop_width, crop_height};
}

// Where a centre crop of `crop` pixels lies on an axis of `size`, as torchvision's CenterCrop places it: negative where it pads.
int center_start(int size, int crop) {
  if (crop > size) return -((crop - size) / 2);
  return static_cast<int>(std::nearbyint((size - crop) / 2.0));
}

}  // namespace

Transform::Transform(const TransformOptions& options) : options_(options) {
  for (size_t c = 0; c < 3; ++c) {
    for (size_t v = 0; v < 256; ++v) table_[c][v] = (static_cast<float>(v) / 255.0f - options.mean[c]) / options.std[c];
  }
}

Part Transform::part(int width, int height, const SampleKey& key) const {
  if (options_.geometry == Geometry::kPadCrop) return {{0, 0, width, height}};
  if (options_.geometry == Geometry::kRandomResizedCrop) {
    const Window crop = draw_crop(width, height, options_, key);
    int shrink = 1;
    while (options_.dct_scale && shrink < kMostShrink && crop.width / (2 * shrink) >= options_.width &&
           crop.height / (2 * shrink) >= options_.height) {
      shrink *= 2;
    }
    return {crop, shrink};
  }
  const ResizeOptions o = resize_crop_options(width, height);
  const Resizer::Needed columns = Resizer::needed(o.horizontal, o.width, o.window.x, o.window.width, o.filter);
  const Resizer::Needed rows = Resizer::needed(o.vertical, o.height, o.window.y, o.window.height, o.filter);
  return {{columns.first, rows.first, columns.count, rows.count}};
}

bool Transform::flips(const SampleKey& key) const {
  return options_.flip > 0 && PhiloxStream(key.seed, key.epoch, key.sample, RandomPurpose::kFlip).uniform() < options_.flip;
}

void Transform::apply(const ImageView& image, const SampleKey& key, TransformScratch& scratch, float* out) const {
  const bool flip = flips(key);
  if (options_.geometry == Geometry::kPadCrop) {
    return pad_crop(options_.effects.empty() ? image : with_effects(image, key, scratch), key, flip, out);
  }
  const uint8_t* pixels = finished_pixels(resize_of(image, key), image.stride, key, scratch);
  const int64_t row = int64_t{3} * options_.width;
  for (int y = 0; y < options_.height; ++y) normalise_row(pixels + y * row, options_.width, flip, out + y * row);
}

// The padding is the mean colour, which bytes cannot hold: the picture is changed before it is padded.
ImageView Transform::with_effects(const ImageView& image, const SampleKey& key, TransformScratch& scratch) const {
  const int64_t row = int64_t{3} * image.width;
  scratch.pixels.resize(static_cast<size_t>(row * image.height));
  for (int y = 0; y < image.height; ++y)
    std::memcpy(scratch.pixels.data() + y * row, image.data + y * image.stride, static_cast<size_t>(row));
  add_effects(key, {scratch.pixels.data(), image.width, image.height}, scratch);
  return {scratch.pixels.data(), image.width, image.height, row, image.place};
}

void Transform::add_effects(const SampleKey& key, Pixels pixels, TransformScratch& scratch) const {
  if (options_.effects.empty()) return;
  PhiloxStream random(key.seed, key.epoch, key.sample, RandomPurpose::kEffects);
  apply_effects(options_.effects, random, pixels, scratch.effects);
}

Transform::Offset Transform::pad_crop_offset(const ImageView& image, const SampleKey& key) const {
  const int spare_y = image.height + 2 * options_.pad - options_.height, spare_x = image.width + 2 * options_.pad - options_.width;
  if (spare_y < 0 || spare_x < 0) {
    const std::string got = std::to_string(image.width) + "x" + std::to_string(image.height);
    const std::string crop = std::to_string(options_.width) + "x" + std::to_string(options_.height);
    throw Error("ERR_SKNET_DATA", "an image of " + got + " padded by " + std::to_string(options_.pad) + " is smaller than the crop " + crop)
        .with_got(got)
        .with_expected("at least " + crop + " after padding");
  }
  PhiloxStream random(key.seed, key.epoch, key.sample, RandomPurpose::kCrop);
  const int top = static_cast<int>(random.below(static_cast<uint32_t>(spare_y + 1))) - options_.pad;
  const int left = static_cast<int>(random.below(static_cast<uint32_t>(spare_x + 1))) - options_.pad;
  return {top, left};
}

void Transform::pad_crop(const ImageView& image, const SampleKey& key, bool flip, float* out) const {
  const auto [top, left] = pad_crop_offset(image, key);
  // Columns of the crop that lie on the image.
  const int begin = std::clamp(-left, 0, options_.width), end = std::clamp(image.width - left, begin, options_.width);
  const int64_t row = int64_t{3} * options_.width;
  for (int y = 0; y < options_.height; ++y) {
    float* target = out + y * row;
    const int source_y = top + y;
    // Padding comes after normalisation: it is 0, the mean colour.
    if (source_y < 0 || source_y >= image.height || begin == end) {
      std::fill(target, target + row, 0.0f);
      continue;
    }
    const int before = flip ? options_.width - end : begin, after = flip ? begin : options_.width - end;
    std::fill(target, target + int64_t{3} * before, 0.0f);
    const uint8_t* source = image.data + source_y * image.stride + int64_t{3} * (left + begin);
    normalise_row(source, end - begin, flip, target + int64_t{3} * before);
    std::fill(target + row - int64_t{3} * after, target + row, 0.0f);
  }
}

Transform::Resize Transform::resize_of(const ImageView& image, const SampleKey& key) const {
  return options_.geometry == Geometry::kRandomResizedCrop ? random_resized_crop(image, key) : resize_crop(image);
}

Transform::Resize Transform::random_resized_crop(const ImageView& image, const SampleKey& key) const {
  const Place& place = image.place;
  const Window crop = draw_crop(place.full_width, place.full_height, options_, key);
  // In the pixels there are, of which a reduced picture's may be cut by the crop's edges.
  const auto axis = [&](int start, int length, int offset, int pixels_there) {
    const double begin = static_cast<double>(start - offset) / place.shrink;
    const double end = static_cast<double>(start + length - offset) / place.shrink;
    const int first = static_cast<int>(begin), last = std::min(static_cast<int>(std::ceil(end)), pixels_there);
    return std::pair{first, Span{last - first, begin - first, std::min<double>(end, last) - first}};
  };
  const auto [left, horizontal] = axis(crop.x, crop.width, place.x, image.width);
  const auto [top, vertical] = axis(crop.y, crop.height, place.y, image.height);
  const Window whole{0, 0, options_.width, options_.height};
  return {image.data + top * image.stride + int64_t{3} * left,
          {horizontal, vertical, 0, 0, options_.width, options_.height, whole, options_.interpolation},
          0,
          0};
}

ResizeOptions Transform::resize_crop_options(int image_width, int image_height) const {
  // The longer side is cut off to an integer, as torchvision's Resize does.
  int width = image_width, height = image_height;
  if (options_.resize > 0) {
    const int64_t shorter = std::min(width, height), longer = std::max(width, height);
    const int64_t exact = options_.resize * longer / shorter;
    check(exact <= kMaxSide, "ERR_SKNET_DATA", "the image is too long and thin to be resized");
    const int scaled = static_cast<int>(exact);
    (width <= height ? width : height) = options_.resize;
    (image_width <= image_height ? height : width) = scaled;
  }
  const int top = center_start(height, options_.height), left = center_start(width, options_.width);
  const Window window{std::max(left, 0), std::max(top, 0), std::min(width, options_.width), std::min(height, options_.height)};
  const Span horizontal{image_width, 0, static_cast<double>(image_width)}, vertical{image_height, 0, static_cast<double>(image_height)};
  return {horizontal, vertical, 0, 0, width, height, window, options_.interpolation};
}

Transform::Resize Transform::resize_crop(const ImageView& image) const {
  ResizeOptions resize = resize_crop_options(image.place.full_width, image.place.full_height);
  resize.x = image.place.x;
  resize.y = image.place.y;
  return {image.data, resize, std::max(-center_start(resize.width, options_.width), 0),
          std::max(-center_start(resize.height, options_.height), 0)};
}

uint8_t* Transform::finished_pixels(const Resize& resize, int64_t stride, const SampleKey& key, TransformScratch& scratch) const {
  const Window& window = resize.options.window;
  const int64_t row = int64_t{3} * options_.width;
  scratch.pixels.resize(static_cast<size_t>(row * options_.height));
  uint8_t* pixels = scratch.pixels.data();
  if (window.width == options_.width && window.height == options_.height) {
    scratch.resizer.run(resize.data, stride, resize.options, pixels);
  } else {
    // Smaller than the crop: black around it.
    const int64_t window_row = int64_t{3} * window.width;
    std::vector<uint8_t> picture(static_cast<size_t>(window_row * window.height));
    scratch.resizer.run(resize.data, stride, resize.options, picture.data());
    std::memset(pixels, 0, static_cast<size_t>(row * options_.height));
    for (int y = 0; y < window.height; ++y) {
      std::memcpy(pixels + (resize.top + y) * row + int64_t{3} * resize.left, picture.data() + y * window_row,
                  static_cast<size_t>(window_row));
    }
  }
  add_effects(key, {pixels, options_.width, options_.height}, scratch);
  return pixels;
}

void Transform::normalise_row(const uint8_t* pixels, int count, bool flip, float* out) const {
  for (int x = 0; x < count; ++x) {
    const uint8_t* pixel = pixels + int64_t{3} * (flip ? count - 1 - x : x);
    for (size_t c = 0; c < 3; ++c) out[3 * x + static_cast<int>(c)] = table_[c][pixel[c]];
  }
}

}  // namespace sknet::data
