#include "data/verify_shard.h"

#include <vector>

#include "core/error.h"
#include "data/crc32c.h"
#include "data/file.h"
#include "data/open_file.h"
#include "data/shard_index.h"
#include "data/shard_scan.h"

namespace sknet::data {

namespace {

void differ(const std::string& name, const std::string& what) {
  throw Error("ERR_SKNET_DATA", name + ": " + what).with_got(what).with_expected("what the index says");
}

void compare(const OpenFile& tar, const ShardIndex& index) {
  const ShardScan scan = scan_shard(tar);
  const size_t count = index.samples.size();
  if (scan.index.samples.size() != count || scan.without_class + scan.without_image > 0) {
    differ("the archive", std::to_string(scan.index.samples.size()) + " whole samples, the index has " + std::to_string(count));
  }
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < count; ++i) {
    const ShardSample &listed = index.samples[i], &found = scan.index.samples[i];
    const std::string name(index.name(i));
    if (scan.index.name(i) != index.name(i) || found.offset != listed.offset || found.size != listed.size)
      differ(name, "is not where the index says");
    if (found.label != listed.label) differ(name, "has another class than the index says");
    bytes.resize(static_cast<size_t>(listed.size));
    if (tar.read(listed.offset, bytes) < bytes.size()) differ(name, "is cut short");
    if (crc32c(bytes) != listed.crc) differ(name, "has another checksum: its bytes are not those that were packed");
  }
}

}  // namespace

VerifiedShard verify_shard(const std::string& tar_path, const std::string& index_path, bool quick) {
  const std::string* at = &index_path;
  try {
    std::vector<uint8_t> text;
    read_file(index_path, kMostIndexBytes, text);
    const ShardIndex index = parse_shard_index({reinterpret_cast<const char*>(text.data()), text.size()});
    at = &tar_path;
    const OpenFile tar(tar_path);
    if (tar.size() != index.tar_bytes)
      differ("the archive", std::to_string(tar.size()) + " bytes, the index has " + std::to_string(index.tar_bytes));
    if (!quick) compare(tar, index);
    return {static_cast<int64_t>(index.samples.size()), index.tar_bytes, index.from, index.to};
  } catch (const Error& e) {
    throw Error(e.code, *at + ": " + e.what()).with_path(*at).with_got(e.got).with_expected(e.expected);
  }
}

}  // namespace sknet::data
