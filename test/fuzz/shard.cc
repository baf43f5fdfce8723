// Tar shards, their indexes and arrays in whatever state: an error, or samples that lie within the file, do not overlap and can be read.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "data/npy.h"
#include "data/open_file.h"
#include "data/shard_index.h"
#include "data/shard_scan.h"
#include "data/tar.h"

namespace {

using sknet::data::ShardIndex;

constexpr int64_t kMaxPixels = 1 << 20;

class Memory final : public sknet::data::ByteReader {
 public:
  explicit Memory(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  int64_t size() const override { return static_cast<int64_t>(bytes_.size()); }
  size_t read(int64_t offset, std::span<uint8_t> out) const override {
    if (offset < 0) __builtin_trap();
    if (offset >= size()) return 0;
    const size_t count = std::min(out.size(), bytes_.size() - static_cast<size_t>(offset));
    std::memcpy(out.data(), bytes_.data() + offset, count);
    return count;
  }

 private:
  const std::span<const uint8_t> bytes_;
};

void check_samples(const ShardIndex& index, int64_t bytes) {
  for (size_t i = 0; i < index.samples.size(); ++i) {
    const auto& sample = index.samples[i];
    if (sample.offset < sknet::data::kTarBlock || sample.size < 0 || sample.label < 0) __builtin_trap();
    if (sample.offset > bytes || sample.size > bytes - sample.offset) __builtin_trap();
    if (i > 0 && sample.offset < index.samples[i - 1].offset + index.samples[i - 1].size) __builtin_trap();
    if (sknet::data::shard_image(sknet::data::split_shard_name(index.name(i)).extension) == sknet::data::ShardImage::kNone) __builtin_trap();
  }
}

void scan(std::span<const uint8_t> bytes) {
  const sknet::data::ShardScan found = sknet::data::scan_shard(Memory(bytes));
  check_samples(found.index, static_cast<int64_t>(bytes.size()));
}

void parse(std::span<const uint8_t> bytes) {
  const ShardIndex index = sknet::data::parse_shard_index({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  check_samples(index, index.tar_bytes);
  for (size_t i = 0; i < index.samples.size(); ++i) {
    const std::string name = "/" + std::string(index.name(i)) + "/";
    if (name.find("//") != std::string::npos || name.find("/../") != std::string::npos || name.find('\n') != std::string::npos) __builtin_trap();
  }
  // What was read can be written, and is read as the same.
  const std::string again = sknet::data::format_shard_index(index);
  if (sknet::data::format_shard_index(sknet::data::parse_shard_index(again)) != again) __builtin_trap();
}

void parse_array(std::span<const uint8_t> bytes) {
  const sknet::data::StoredImage image = sknet::data::parse_npy(bytes, kMaxPixels);
  if (static_cast<int64_t>(image.bytes.size()) != int64_t{3} * image.width * image.height) __builtin_trap();
  if (!image.bytes.empty() && (image.bytes.data() < bytes.data() || &image.bytes.back() > &bytes.back())) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  for (const auto read : {scan, parse, parse_array}) {
    try {
      read(bytes);
    } catch (const sknet::Error&) {
    }
  }
  return 0;
}

// A mutated header hardly ever has the right checksum, nor an index: they are put right, so that mutations reach what lies behind.
#include "data/crc32c.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

void mend_tar(std::span<uint8_t> bytes) {
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    uint8_t* header = bytes.data() + at;
    if (std::memcmp(header + 257, "ustar", 5) != 0) continue;
    std::memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; ++i) sum += header[i];
    for (int digit = 5; digit >= 0; --digit, sum /= 8) header[148 + digit] = static_cast<uint8_t>('0' + sum % 8);
    header[154] = 0;
  }
}

void mend_index(std::span<uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t end = text.rfind("crc32c ");
  if (end == std::string_view::npos || end + 16 > text.size()) return;
  const uint32_t crc = sknet::data::crc32c(bytes.first(end));
  for (size_t i = 0; i < 8; ++i) bytes[end + 7 + i] = static_cast<uint8_t>("0123456789abcdef"[crc >> (28 - 4 * i) & 15]);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  size = LLVMFuzzerMutate(data, size, max_size);
  mend_tar({data, size});
  mend_index({data, size});
  return size;
}
