// The samples of one split of a data set: how many, their labels, how each becomes a picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"

namespace sknet::data {

// Immutable after construction, so any number of loaders and threads may share one.
class Source {
 public:
  virtual ~Source() = default;
  virtual int64_t size() const = 0;
  virtual int32_t label(int64_t index) const = 0;
  // Where the sample is, for people: a file, or a file and the record in it.
  virtual std::string path(int64_t index) const = 0;
  // Throws Error ERR_SKNET_DECODE or ERR_SKNET_DATA with a reason that does not repeat the path. `file_buffer` is the calling thread's, for
  // sources that read files.
  virtual void decode(int64_t index, Image& out, std::vector<uint8_t>& file_buffer) const = 0;
};

}  // namespace sknet::data
