#include "data/decode.h"

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/error.h"
#include "data/decode_jpeg.h"
#include "data/decode_png.h"

namespace sknet::data {

namespace {

using std::string_view_literals::operator""sv;

enum class Format { kJpeg, kPng, kOther };

struct Signature {
  size_t offset;
  std::string_view bytes;
  Format format;
  const char* name;
};

constexpr std::array kSignatures = {
    Signature{0, "\xFF\xD8"sv, Format::kJpeg, "JPEG"},
    Signature{0, "\x89PNG\r\n\x1A\n"sv, Format::kPng, "PNG"},
    Signature{0, "GIF8"sv, Format::kOther, "a GIF image"},
    Signature{8, "WEBP"sv, Format::kOther, "a WebP image"},
    Signature{0, "BM"sv, Format::kOther, "a BMP image"},
    Signature{0, "II*\0"sv, Format::kOther, "a TIFF image"},
    Signature{0, "MM\0*"sv, Format::kOther, "a TIFF image"},
    Signature{4, "ftypavif"sv, Format::kOther, "an AVIF image"},
    Signature{4, "ftyphei"sv, Format::kOther, "a HEIF image"},
    Signature{0, "\xFF\x0A"sv, Format::kOther, "a JPEG XL image"},
    Signature{0, "\0\0\0\x0CjP  "sv, Format::kOther, "a JPEG 2000 image"},
    Signature{0, "%PDF"sv, Format::kOther, "a PDF document"},
    Signature{0, "<"sv, Format::kOther, "HTML or XML text"},
};

std::string first_bytes(std::span<const uint8_t> bytes) {
  std::string text = "unknown data (first bytes";
  for (size_t i = 0; i < bytes.size() && i < 4; ++i) {
    std::array<char, 4> hex{};
    std::snprintf(hex.data(), hex.size(), " %02X", bytes[i]);
    text += hex.data();
  }
  return text + ")";
}

}  // namespace

void check_pixels(int64_t width, int64_t height, int64_t max_pixels) {
  if (width <= 0 || height <= 0 || width > max_pixels / height) {
    const std::string size = std::to_string(width) + "x" + std::to_string(height);
    throw Error("ERR_SKNET_DECODE", "the image is " + size + ", more than the " + std::to_string(max_pixels) + " pixels allowed")
        .with_got(size)
        .with_expected("at most " + std::to_string(max_pixels) + " pixels");
  }
}

void decode_image(std::span<const uint8_t> bytes, int64_t max_pixels, Image& out) {
  decode_image(bytes, max_pixels, [](int width, int height) { return Part{{0, 0, width, height}}; }, out);
}

void decode_image(std::span<const uint8_t> bytes, int64_t max_pixels, const ChoosePart& choose, Image& out) {
  if (bytes.empty()) throw Error("ERR_SKNET_DECODE", "the file is empty").with_got("0 bytes").with_expected("a JPEG or PNG image");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string found = first_bytes(bytes);
  for (const Signature& signature : kSignatures) {
    if (text.size() < signature.offset || !text.substr(signature.offset).starts_with(signature.bytes)) continue;
    if (signature.format == Format::kJpeg) return decode_jpeg(bytes, max_pixels, choose, out);
    if (signature.format == Format::kPng) return decode_png(bytes, max_pixels, out);
    found = signature.name;
    break;
  }
  throw Error("ERR_SKNET_DECODE", "found " + found + ", expected a JPEG or PNG image").with_got(found).with_expected("a JPEG or PNG image");
}

}  // namespace sknet::data
