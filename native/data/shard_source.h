// Samples in tar shards.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace sknet::data {

struct ShardPath {
  std::string tar;
  std::string index;  // empty: there is none, the archive is walked over
};

// Reads the indexes, or makes them, with a thread a shard (a few at a time). The samples are those of the shards in the order given.
// Throws Error ERR_SKNET_DATA with the path of the shard or index that is wrong, ERR_SKNET_DATA when no sample is there.
// Later on a sample whose bytes are not those of its checksum, whose shard has gone, became shorter or was written to, is that sample's
// error.
std::unique_ptr<Source> make_shard_source(const std::vector<ShardPath>& paths, int64_t max_pixels);

}  // namespace sknet::data
