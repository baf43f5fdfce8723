// Whether a packed shard still is what was packed.
#pragma once

#include <cstdint>
#include <string>

namespace sknet::data {

struct VerifiedShard {
  int64_t samples = 0, bytes = 0;
  int64_t from = 0, to = 0;
};

// Reads the index and, unless `quick`, all of the shard: the archive has to hold exactly what the index lists, each sample's class and
// checksum the same. Throws Error ERR_SKNET_DATA with the path of the file that is wrong and the first thing that is.
VerifiedShard verify_shard(const std::string& tar_path, const std::string& index_path, bool quick);

}  // namespace sknet::data
