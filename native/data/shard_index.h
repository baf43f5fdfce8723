// Where the samples of one tar shard lie. Our shards have it beside them as a text file, NAME.tar.index; of others it is made by a walk
// over the archive (shard_scan.h).
//
//   sknet-shard-index 1
//   tar BYTES samples N from POSITION to POSITION      positions in the packing order that the shard covers
//   OFFSET SIZE CRC32C LABEL NAME                      one line a sample, by offset; the checksum is that of the stored image
//   crc32c CRC32C                                      of all bytes before this line
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sknet::data {

struct ShardSample {
  int64_t offset;
  int32_t size, label;
  uint32_t crc;
  uint32_t name_end;  // in ShardIndex::names; its name begins where the one before ends
};

struct ShardIndex {
  int64_t tar_bytes = 0;
  int64_t from = 0, to = 0;
  bool has_crc = false;
  std::vector<ShardSample> samples;
  std::string names;  // one after the other: a million strings would cost more than what is in them

  std::string_view name(size_t sample) const;
  void add(int64_t offset, int32_t size, uint32_t crc, int32_t label, std::string_view name);
};

// What a sample's picture may be called, by the part of its name after the first dot; in any case.
enum class ShardImage { kNone, kEncoded, kArray };
ShardImage shard_image(std::string_view extension);

// A name as KEY.EXTENSION, at the first dot of its last part; empty when it has no key (WebDataset's rule). The extension may hold dots.
struct ShardName {
  std::string_view key, extension;
};
ShardName split_shard_name(std::string_view name);

// Throws Error ERR_SKNET_DATA, without a path but with the line, for everything that cannot be: a wrong checksum, a sample beyond the tar
// file or over another, a name that is no plain relative path, another version.
ShardIndex parse_shard_index(std::string_view text);
std::string format_shard_index(const ShardIndex& index);

inline constexpr int64_t kMostIndexBytes = int64_t{1} << 30;

}  // namespace sknet::data
