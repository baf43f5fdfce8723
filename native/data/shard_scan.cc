#include "data/shard_scan.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "core/error.h"
#include "data/tar.h"

namespace sknet::data {

namespace {

constexpr int64_t kMostClassBytes = 64;

// For messages: what a terminal would act upon is replaced.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, 200));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7F') c = '?';
  }
  return text;
}

Error damaged(std::string_view name, const std::string& reason) {
  return Error("ERR_SKNET_DATA", printable(name) + ": " + reason).with_got(reason);
}

int32_t read_class(const ByteReader& bytes, const TarEntry& entry) {
  std::string text(static_cast<size_t>(std::min(entry.size, kMostClassBytes)), '\0');
  bytes.read(entry.offset, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  const size_t end = begin == std::string::npos ? begin : text.find_last_not_of(kBlank) + 1;
  int32_t label = -1;
  if (begin != std::string::npos) {
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, label);
    if (error != std::errc() || stop != text.data() + end) label = -1;
  }
  if (label < 0 || entry.size > kMostClassBytes) {
    throw damaged(entry.name, "it holds '" + printable(text) + "'; expected a class index, a whole number of at least 0")
        .with_expected("a class index");
  }
  return label;
}

struct Sample {
  std::string key, name;
  int64_t offset = -1, size = 0;
  int32_t label = -1;
};

void finish(ShardScan& scan, Sample& sample) {
  if (sample.key.empty()) return;
  if (sample.offset < 0) {
    ++scan.without_image;
  } else if (sample.label < 0) {
    ++scan.without_class;
  } else {
    scan.index.add(sample.offset, static_cast<int32_t>(sample.size), 0, sample.label, sample.name);
  }
  sample = {};
}

}  // namespace

ShardScan scan_shard(const ByteReader& bytes) {
  ShardScan scan;
  scan.index.tar_bytes = bytes.size();
  TarWalk walk(bytes);
  Sample sample;
  for (TarEntry entry; walk.next(entry);) {
    const auto [key, extension] = split_shard_name(entry.name);
    // Also what packing tools leave of themselves, such as __index__.json.
    if (key.empty() || key.starts_with("__")) continue;
    if (key != sample.key) {
      finish(scan, sample);
      sample.key = key;
    }
    if (shard_image(extension) != ShardImage::kNone) {
      if (sample.offset >= 0) throw damaged(entry.name, "a second picture of one sample").with_expected("one picture a sample");
      if (entry.size > std::numeric_limits<int32_t>::max()) throw damaged(entry.name, "a picture of more than 2 GiB");
      sample.name = entry.name;
      sample.offset = entry.offset;
      sample.size = entry.size;
    } else if (extension == "cls") {
      if (sample.label >= 0) throw damaged(entry.name, "a second class of one sample").with_expected("one class a sample");
      sample.label = read_class(bytes, entry);
    }
  }
  finish(scan, sample);
  return scan;
}

}  // namespace sknet::data
