// Pictures in whatever state: an error or pixels, in bounded time and memory. Of a JPEG that decodes, every part has the whole's pixels.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "core/error.h"
#include "core/philox.h"
#include "data/decode.h"

using sknet::data::Image;
using sknet::data::Part;

namespace {

constexpr int64_t kMaxPixels = 1 << 20;

// A window that depends on the picture's size only, so that a finding repeats.
Part some_part(int width, int height) {
  sknet::PhiloxStream random(static_cast<uint64_t>(width), static_cast<uint32_t>(height), 0, sknet::RandomPurpose::kCrop);
  const int w = 1 + static_cast<int>(random.below(static_cast<uint32_t>(width))),
            h = 1 + static_cast<int>(random.below(static_cast<uint32_t>(height)));
  const int x = static_cast<int>(random.below(static_cast<uint32_t>(width - w + 1)));
  return {{x, static_cast<int>(random.below(static_cast<uint32_t>(height - h + 1))), w, h}};
}

void check_part(const Image& whole, const Image& part, const sknet::data::Window& window) {
  for (int y = window.y; y < window.y + window.height; ++y) {
    const uint8_t* expected = whole.rgb.data() + (static_cast<int64_t>(y) * whole.width + window.x) * 3;
    const uint8_t* got = part.rgb.data() + (static_cast<int64_t>(y - part.place.y) * part.width + window.x - part.place.x) * 3;
    if (std::memcmp(expected, got, static_cast<size_t>(window.width) * 3) != 0) {
      std::fprintf(stderr, "row %d of part %d,%d %dx%d differs from the whole picture\n", y, window.x, window.y, window.width,
                   window.height);
      std::abort();
    }
  }
}

bool decode(std::span<const uint8_t> bytes, const sknet::data::ChoosePart& choose, Image& out) {
  try {
    sknet::data::decode_image(bytes, kMaxPixels, choose, out);
    return true;
  } catch (const sknet::Error&) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  Image whole, part, reduced;
  const bool intact = decode(bytes, [](int width, int height) { return Part{{0, 0, width, height}}; }, whole);
  Part chosen{{0, 0, whole.width, whole.height}};  // PNGs come whole, without a question
  const bool part_intact = decode(bytes, [&](int width, int height) { return chosen = some_part(width, height); }, part);
  if (intact && !part_intact) {
    std::fprintf(stderr, "the whole picture decodes, a part of it does not\n");
    std::abort();
  }
  if (intact) check_part(whole, part, chosen.window);
  decode(bytes, [&](int width, int height) { return Part{some_part(width, height).window, 1 << (1 + size % 3)}; }, reduced);
  return 0;
}
