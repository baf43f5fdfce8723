#include "data/pack_sample.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/decode.h"
#include "data/encode_jpeg.h"
#include "data/npy.h"

namespace sknet::data {

namespace {

constexpr int64_t kMaxSide = 65535;

// To a shorter side of `side`, the longer one cut off to an integer as torchvision's Resize does. Smaller pictures stay as they are.
const Image& resize(const Image& image, int side, Image& resized, Resizer& resizer) {
  const int64_t shorter = std::min(image.width, image.height), longer = std::max(image.width, image.height);
  if (side == 0 || shorter <= side) return image;
  const int64_t scaled = side * longer / shorter;
  check(scaled <= kMaxSide, "ERR_SKNET_DATA", "the picture is too long and thin to be resized");
  const int other = static_cast<int>(scaled);
  const int width = image.width <= image.height ? side : other, height = image.width <= image.height ? other : side;
  resized.resize(width, height);
  resizer.run(image, width, height, Filter::kBilinear, resized.rgb.data());
  return resized;
}

}  // namespace

void pack_image(const Source& source, int64_t index, const PackImageOptions& options, PackScratch& scratch, PackedImage& out) {
  const StoredImage stored = source.read(index, scratch.stored);
  if (stored.encoded()) {
    decode_image(stored.bytes, source.max_pixels(), scratch.image);
  } else {
    check(options.mode != PackMode::kOriginal, "ERR_SKNET_DATA", "the sample is pixels, not a JPEG or PNG file to be kept");
    scratch.image.resize(stored.width, stored.height);
    scratch.image.rgb.assign(stored.bytes.begin(), stored.bytes.end());
  }
  if (options.mode == PackMode::kOriginal) {
    out.bytes.assign(stored.bytes.begin(), stored.bytes.end());
    out.extension = stored.bytes[0] == 0xFF ? "jpg" : "png";
    return;
  }
  const Image& image = resize(scratch.image, options.short_side, scratch.resized, scratch.resizer);
  if (options.mode == PackMode::kJpeg) {
    encode_jpeg(image, options.quality, out.bytes);
    out.extension = "jpg";
    return;
  }
  const std::string header = npy_header(image.width, image.height);
  out.bytes.assign(header.begin(), header.end());
  out.bytes.insert(out.bytes.end(), image.rgb.begin(), image.rgb.end());
  out.extension = "npy";
}

}  // namespace sknet::data
