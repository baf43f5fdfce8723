#include "data/tar.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>

#include "core/error.h"

namespace sknet::data {

namespace {

constexpr int64_t kMostName = 1 << 16;
constexpr int64_t kMostPax = 1 << 20;
constexpr size_t kSizeAt = 124, kSizeBytes = 12, kSumAt = 148, kSumBytes = 8, kTypeAt = 156, kMagicAt = 257, kPrefixAt = 345,
                 kPrefixBytes = 155;

// Octal digits between blanks, or GNU's base 256 (first bit set). -1 for anything else, and for what 63 bits do not hold.
int64_t number_of(std::span<const uint8_t> field) {
  if ((field[0] & 0x80) != 0) {
    int64_t value = field[0] & 0x7F;
    for (const uint8_t byte : field.subspan(1)) {
      if (value > (std::numeric_limits<int64_t>::max() >> 8)) return -1;
      value = value << 8 | byte;
    }
    return value;
  }
  size_t at = 0;
  while (at < field.size() && field[at] == ' ') ++at;
  int64_t value = 0;
  for (; at < field.size() && field[at] >= '0' && field[at] <= '7'; ++at) value = value << 3 | (field[at] - '0');
  return at == field.size() || field[at] == ' ' || field[at] == '\0' ? value : -1;
}

// Up to the first NUL.
std::string text_of(std::span<const uint8_t> field) {
  const auto end = std::find(field.begin(), field.end(), uint8_t{0});
  return {field.begin(), end};
}

// Some old writers summed signed bytes.
bool sum_matches(std::span<const uint8_t> header) {
  int64_t plain = 0, with_sign = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    const uint8_t byte = i >= kSumAt && i < kSumAt + kSumBytes ? ' ' : header[i];
    plain += byte;
    with_sign += static_cast<int8_t>(byte);
  }
  const int64_t stored = number_of(header.subspan(kSumAt, kSumBytes));
  return stored == plain || stored == with_sign;
}

}  // namespace

void TarWalk::fail(const std::string& reason) const {
  throw Error("ERR_SKNET_DATA", "damaged tar archive: at byte " + std::to_string(at_) + " " + reason)
      .with_got(reason)
      .with_expected("an intact tar archive");
}

bool TarWalk::read_header(std::vector<uint8_t>& header) {
  at_ = position_;
  header.resize(kTarBlock);
  const size_t found = bytes_.read(position_, header);
  // Some writers leave out the two empty blocks at the end.
  if (found == 0) return false;
  if (found < header.size()) fail("it ends within a header");
  if (std::all_of(header.begin(), header.end(), [](uint8_t byte) { return byte == 0; })) return false;
  if (!sum_matches(header)) fail("is no tar header: its checksum is wrong");
  position_ += kTarBlock;
  return true;
}

std::string TarWalk::read_text(int64_t size, int64_t most, const char* what) const {
  if (size > most) fail(std::string(what) + " of " + std::to_string(size) + " bytes is too long");
  std::string text(static_cast<size_t>(size), '\0');
  const size_t found = bytes_.read(position_, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
  if (found < text.size()) fail(std::string(what) + " is cut short");
  return text;
}

void TarWalk::skip_content(int64_t size) {
  if (size > bytes_.size() - position_) fail("an entry of " + std::to_string(size) + " bytes goes beyond the end of the file");
  position_ += size + std::min(tar_padding(size), bytes_.size() - position_ - size);
}

// Records are "LENGTH KEY=VALUE\n", the length that of the whole record.
void TarWalk::read_pax(std::string_view records, bool global, Overrides& overrides) const {
  while (!records.empty() && records[0] != '\0') {
    size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const size_t digits = static_cast<size_t>(end - records.data());
    if (error != std::errc() || length > records.size() || length < digits + 3 || records[digits] != ' ' || records[length - 1] != '\n') {
      fail("a pax record is malformed");
    }
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) fail("a pax record is malformed");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key.starts_with("GNU.sparse.")) fail("is a sparse file, which is not read");
    if (global) continue;
    if (key == "path") overrides.name = value;
    if (key == "size") {
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), overrides.size);
      if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || overrides.size < 0) fail("a pax size is no number");
    }
  }
}

bool TarWalk::next(TarEntry& entry) {
  std::vector<uint8_t> header;
  Overrides overrides;
  while (read_header(header)) {
    const std::span<const uint8_t> fields(header);
    const char type = static_cast<char>(header[kTypeAt]);
    const int64_t own_size = number_of(fields.subspan(kSizeAt, kSizeBytes));
    // Of the next file; the records that say so have their own.
    const bool record = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    const int64_t size = !record && overrides.size >= 0 ? overrides.size : own_size;
    if (size < 0) fail("an entry's size is no number");
    if (type == 'L' || type == 'x' || type == 'g') {
      if (type == 'L') {
        const std::string name = read_text(own_size, kMostName, "a long name");
        overrides.name = name.substr(0, name.find('\0'));
      } else {
        read_pax(read_text(own_size, kMostPax, "a pax header"), type == 'g', overrides);
      }
      skip_content(own_size);
      continue;
    }
    if (type == 'K') {
      skip_content(own_size);
      continue;
    }
    if (type == 'S') fail("is a sparse file, which is not read");
    if (type == 'M') fail("is a piece of a file from another volume, which is not read");

    std::string name = overrides.name;
    if (name.empty()) {
      name = text_of(fields.first(100));
      const std::string prefix =
          std::memcmp(header.data() + kMagicAt, "ustar", 6) == 0 ? text_of(fields.subspan(kPrefixAt, kPrefixBytes)) : "";
      if (!prefix.empty()) name = prefix + "/" + name;
    }
    overrides = {};
    const bool regular = (type == '0' || type == '\0' || type == '7') && !name.ends_with('/');
    // Links, devices, folders and FIFOs have no content, whatever their size field says.
    const bool bare = type >= '1' && type <= '6';
    if (regular) {
      entry = {std::move(name), position_, size};
      skip_content(size);
      return true;
    }
    ++passed_over_;
    if (!bare) skip_content(size);
  }
  return false;
}

std::vector<uint8_t> tar_header(const std::string& name, int64_t size) {
  check(name.size() <= 100 && size >= 0 && size < (int64_t{1} << 33), "ERR_SKNET_NATIVE", "a tar header cannot hold " + name);
  std::vector<uint8_t> header(kTarBlock);
  const auto put = [&](size_t at, const std::string& text) { std::memcpy(header.data() + at, text.data(), text.size()); };
  const auto octal = [&](size_t at, int digits, int64_t value) {
    char text[24];
    std::snprintf(text, sizeof(text), "%0*llo", digits, static_cast<unsigned long long>(value));
    put(at, text);
  };
  put(0, name);
  octal(100, 7, 0644);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(kSizeAt, 11, size);
  octal(136, 11, 0);
  put(kSumAt, std::string(kSumBytes, ' '));
  header[kTypeAt] = '0';
  put(kMagicAt, std::string("ustar\0", 6) + "00");
  int64_t sum = 0;
  for (const uint8_t byte : header) sum += byte;
  octal(kSumAt, 6, sum);
  header[kSumAt + 6] = '\0';
  return header;
}

}  // namespace sknet::data
