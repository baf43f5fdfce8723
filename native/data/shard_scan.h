// The index of a shard that has none, by a walk over the archive: neighbouring files with one key are a sample (WebDataset's rule), its
// picture in .jpg, .jpeg, .png or .npy, its class in .cls.
#pragma once

#include <cstdint>

#include "data/open_file.h"
#include "data/shard_index.h"

namespace sknet::data {

struct ShardScan {
  ShardIndex index;  // without checksums
  int64_t without_image = 0, without_class = 0;
};

// Throws Error ERR_SKNET_DATA, without a path: what TarWalk throws; a .cls that is no whole number; a name that comes twice in a sample.
ShardScan scan_shard(const ByteReader& bytes);

}  // namespace sknet::data
