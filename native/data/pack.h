// Writes the samples of a source into tar shards: pictures are prepared by threads, written in order by the caller.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/batch.h"
#include "data/pack_sample.h"
#include "data/source.h"

namespace sknet::data {

struct PackOptions {
  PackImageOptions image;
  // A shard ends before the sample that would make it larger; one sample alone may be larger.
  int64_t shard_bytes = int64_t{256} << 20;
  int threads = 1;
  // In which order: a permutation of (seed), or as they are.
  bool shuffle = false;
  uint64_t seed = 0;
  // Position in that order to begin at.
  int64_t from = 0;
  // Also KEY.json with the sample's path, without this beginning of it, and its class.
  bool info = false;
  std::string root;
};

struct PackedShard {
  int64_t from = 0, to = 0;  // positions it covers; bad samples among them are left out
  int64_t samples = 0, bytes = 0;
  std::vector<BadSample> bad;
};

// The bytes of the shards depend on the source and the options, never on `threads`, on timing or on where an earlier packing stopped.
class Packer {
 public:
  Packer(std::shared_ptr<const Source> source, const PackOptions& options);
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // Writes the next shard and its index, fsync'd, over what is at these paths. With no sample left it writes nothing and returns an empty
  // shard. Throws Error ERR_SKNET_DATA naming the file that cannot be written; ERR_SKNET_DISPOSED after stop(). One caller at a time.
  PackedShard write_shard(const std::string& tar_path, const std::string& index_path);
  // Positions done so far, in this packing and those before; any thread.
  int64_t done() const;
  void stop();

 private:
  struct Slot {
    PackedImage image;
    std::string bad;  // why there is no image
    bool ready = false;
  };

  void work();
  void prepare(int64_t position, PackScratch& scratch, Slot& slot) const;
  Slot& slot_of(int64_t position) { return slots_[static_cast<size_t>(position) % slots_.size()]; }
  Slot& wait_for(int64_t position);
  std::string info_of(int64_t index) const;

  const std::shared_ptr<const Source> source_;
  const PackOptions options_;
  std::vector<int32_t> order_;
  std::vector<Slot> slots_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;  // guards all below, and which thread has a slot
  std::condition_variable to_prepare_, to_write_;
  bool stopped_ = false;
  int64_t next_ = 0;     // position to be prepared
  int64_t written_ = 0;  // position to be written
  std::exception_ptr failure_;
};

}  // namespace sknet::data
