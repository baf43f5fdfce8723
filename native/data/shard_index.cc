#include "data/shard_index.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <span>

#include "core/error.h"
#include "data/crc32c.h"
#include "data/tar.h"

namespace sknet::data {

namespace {

constexpr std::string_view kFirstLine = "sknet-shard-index 1";
constexpr std::string_view kFormat = "sknet-shard-index ";
constexpr int32_t kMostSize = std::numeric_limits<int32_t>::max();

uint32_t crc_of(std::string_view text) { return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

std::string hex(uint32_t value) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", value);
  return text.data();
}

// Reads an index line by line and word by word, and knows where it is.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error("ERR_SKNET_DATA", "the index is wrong: line " + std::to_string(line_number_) + ": " + reason)
        .with_got(reason)
        .with_expected("the index that sknet pack wrote; without one the shard is read by itself");
  }
  void next_line() {
    ++line_number_;
    const size_t end = rest_.find('\n');
    if (end == std::string_view::npos) fail("the file is cut short");
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
  }
  std::string_view line() const { return line_; }
  std::string_view rest() const { return rest_; }
  void expect(std::string_view word) {
    if (!line_.starts_with(word)) fail("expected '" + std::string(word) + "'");
    line_.remove_prefix(word.size());
  }
  int64_t number(int64_t most, const char* what, int base = 10) {
    int64_t value = -1;
    const auto [end, error] = std::from_chars(line_.data(), line_.data() + line_.size(), value, base);
    if (error != std::errc() || value < 0 || value > most) fail(std::string(what) + " is no number from 0 to " + std::to_string(most));
    line_.remove_prefix(static_cast<size_t>(end - line_.data()));
    return value;
  }
  uint32_t checksum() {
    if (line_.size() < 8) fail("the checksum is no number of 8 hexadecimal digits");
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(line_.data(), line_.data() + 8, value, 16);
    if (error != std::errc() || end != line_.data() + 8) fail("the checksum is no number of 8 hexadecimal digits");
    line_.remove_prefix(8);
    return value;
  }

 private:
  std::string_view rest_, line_;
  int64_t line_number_ = 0;
};

std::string_view name_fault(std::string_view name) {
  if (name.empty() || name.size() > 4096) return "a name is empty or too long";
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\\' || c == '\x7F'; })) {
    return "a name holds a control character or a backslash";
  }
  if (name.front() == '/') return "a name is an absolute path";
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return "a name is no plain path: it holds an empty part, . or ..";
    begin = end + 1;
  }
  if (shard_image(split_shard_name(name).extension) == ShardImage::kNone) return "a name is none of a picture (.jpg, .jpeg, .png, .npy)";
  return "";
}

}  // namespace

std::string_view ShardIndex::name(size_t sample) const {
  const size_t begin = sample == 0 ? 0 : samples[sample - 1].name_end;
  return std::string_view(names).substr(begin, samples[sample].name_end - begin);
}

void ShardIndex::add(int64_t offset, int32_t size, uint32_t crc, int32_t label, std::string_view name) {
  check(names.size() + name.size() <= std::numeric_limits<uint32_t>::max(), "ERR_SKNET_DATA", "a shard has too many names");
  names += name;
  samples.push_back({offset, size, label, crc, static_cast<uint32_t>(names.size())});
}

ShardImage shard_image(std::string_view extension) {
  std::string lower(extension);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower == "jpg" || lower == "jpeg" || lower == "png") return ShardImage::kEncoded;
  return lower == "npy" ? ShardImage::kArray : ShardImage::kNone;
}

ShardName split_shard_name(std::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  const size_t dot = name.find('.', begin);
  if (dot == std::string_view::npos || dot == begin) return {};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

ShardIndex parse_shard_index(std::string_view text) {
  Reader reader(text);
  reader.next_line();
  if (reader.line() != kFirstLine) {
    reader.fail(reader.line().starts_with(kFormat) ? "it has another version; upgrade sknet" : "it is no shard index");
  }
  ShardIndex index;
  index.has_crc = true;
  reader.next_line();
  reader.expect("tar ");
  index.tar_bytes = reader.number(std::numeric_limits<int64_t>::max(), "the size of the tar file");
  reader.expect(" samples ");
  // A line has at least 20 bytes: a count that lies takes no memory.
  const int64_t count = reader.number(static_cast<int64_t>(text.size() / 16), "the number of samples");
  reader.expect(" from ");
  index.from = reader.number(kMostSize, "the first position");
  reader.expect(" to ");
  index.to = reader.number(kMostSize, "the last position");
  if (index.to - index.from < count) reader.fail("it covers fewer positions than it has samples");

  index.samples.reserve(static_cast<size_t>(count));
  int64_t end = 0;
  for (int64_t i = 0; i < count; ++i) {
    reader.next_line();
    const int64_t offset = reader.number(std::numeric_limits<int64_t>::max(), "an offset");
    reader.expect(" ");
    const int64_t size = reader.number(kMostSize, "a size");
    reader.expect(" ");
    const uint32_t crc = reader.checksum();
    reader.expect(" ");
    const int64_t label = reader.number(kMostSize, "a label");
    reader.expect(" ");
    const std::string_view name = reader.line();
    if (offset < kTarBlock || offset % kTarBlock != 0) reader.fail("an offset is not where a tar file can hold content");
    // The header of the sample lies before its content.
    if (offset - kTarBlock < end) reader.fail("a sample lies over the one before it");
    if (offset > index.tar_bytes || size > index.tar_bytes - offset) reader.fail("a sample goes beyond the end of the tar file");
    if (const std::string_view fault = name_fault(name); !fault.empty()) reader.fail(std::string(fault));
    end = offset + size;
    index.add(offset, static_cast<int32_t>(size), crc, static_cast<int32_t>(label), name);
  }
  const uint32_t actual = crc_of(text.substr(0, text.size() - reader.rest().size()));
  reader.next_line();
  reader.expect("crc32c ");
  const uint32_t stored = reader.checksum();
  if (!reader.line().empty() || !reader.rest().empty()) reader.fail("something follows the end");
  if (stored != actual) reader.fail("its checksum is " + hex(stored) + " and should be " + hex(actual) + ": it was changed or damaged");
  return index;
}

std::string format_shard_index(const ShardIndex& index) {
  std::string text(kFirstLine);
  text += "\ntar " + std::to_string(index.tar_bytes) + " samples " + std::to_string(index.samples.size()) + " from " +
          std::to_string(index.from) + " to " + std::to_string(index.to) + "\n";
  for (size_t i = 0; i < index.samples.size(); ++i) {
    const ShardSample& sample = index.samples[i];
    text += std::to_string(sample.offset) + ' ' + std::to_string(sample.size) + ' ' + hex(sample.crc) + ' ' + std::to_string(sample.label) +
            ' ';
    text += index.name(i);
    text += '\n';
  }
  text += "crc32c " + hex(crc_of(text)) + "\n";
  return text;
}

}  // namespace sknet::data
