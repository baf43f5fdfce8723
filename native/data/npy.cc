#include "data/npy.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/error.h"
#include "data/decode.h"

namespace sknet::data {

namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
// Headers are filled up to a multiple of this.
constexpr size_t kAlignment = 64;
constexpr size_t kMostHeader = 4096;

Error damaged(const std::string& reason) {
  const std::string expected = "a uint8 array in C order, [height, width, 3]";
  return Error("ERR_SKNET_DECODE", "damaged or unsupported .npy: " + reason + ", expected " + expected)
      .with_got(reason)
      .with_expected(expected);
}

// The text of a key's value in a Python dictionary of plain values, up to the comma or brace that ends it.
std::string_view value_of(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) throw damaged("no " + std::string(key) + " in the header");
  std::string_view rest = header.substr(at + key.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(": "), rest.size()));
  return rest;
}

int64_t dimension(std::string_view& shape) {
  shape.remove_prefix(std::min(shape.find_first_not_of("(, "), shape.size()));
  int64_t value = -1;
  const auto [end, error] = std::from_chars(shape.data(), shape.data() + shape.size(), value);
  if (error != std::errc() || value < 1) throw damaged("another shape");
  shape.remove_prefix(static_cast<size_t>(end - shape.data()));
  return value;
}

}  // namespace

StoredImage parse_npy(std::span<const uint8_t> file, int64_t max_pixels) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.size() < 12 || !text.starts_with(kMagic)) throw damaged("no NumPy file");
  const int version = file[6];
  if (version < 1 || version > 3) throw damaged("version " + std::to_string(version));
  const size_t begin = version == 1 ? 10 : 12;
  size_t length = file[8] | static_cast<size_t>(file[9]) << 8;
  if (version > 1) length |= static_cast<size_t>(file[10]) << 16 | static_cast<size_t>(file[11]) << 24;
  if (length > kMostHeader || length > file.size() - begin) throw damaged("a header of " + std::to_string(length) + " bytes");
  const std::string_view header = text.substr(begin, length);

  if (!value_of(header, "'descr'").starts_with("'|u1'")) throw damaged("another type");
  if (!value_of(header, "'fortran_order'").starts_with("False")) throw damaged("Fortran order");
  std::string_view shape = value_of(header, "'shape'");
  if (!shape.starts_with('(')) throw damaged("another shape");
  const int64_t height = dimension(shape), width = dimension(shape), channels = dimension(shape);
  if (channels != 3 || (!shape.starts_with(')') && !shape.starts_with(",)"))) throw damaged("another shape");
  check_pixels(width, height, max_pixels);
  const std::span<const uint8_t> pixels = file.subspan(begin + length);
  if (static_cast<int64_t>(pixels.size()) != width * height * 3) {
    throw damaged(std::to_string(pixels.size()) + " bytes of pixels for " + std::to_string(width) + "x" + std::to_string(height));
  }
  return {pixels, static_cast<int>(width), static_cast<int>(height)};
}

std::string npy_header(int width, int height) {
  std::string header =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(height) + ", " + std::to_string(width) + ", 3), }";
  const size_t total = (kMagic.size() + 4 + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(total - kMagic.size() - 4 - 1, ' ');
  header += '\n';
  std::string file(kMagic);
  file += {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  return file + header;
}

}  // namespace sknet::data
