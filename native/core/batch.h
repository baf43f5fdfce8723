// What a step consumes: a batch in memory, and where batches come from. native/data implements BatchSource, native/plan reads it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/picture.h"

namespace sknet {

struct BadSample {
  int64_t index;
  std::string path, reason;
};

struct Batch {
  // NHWC [count, height, width, 3]; null where the batch is of bytes.
  const float* images = nullptr;
  Pictures pictures{};               // of a batch of bytes
  int resized_on_host = 0;           // of its pictures, those that were to be resized on the device and were too large for that
  const int32_t* labels = nullptr;   // [count]; -1: a skipped sample
  const int32_t* indices = nullptr;  // [count]; place in the source
  // Where images were mixed, else null: the other image's label (of an image that was not, its own), and the image's own share.
  const int32_t* labels2 = nullptr;  // [count]
  const float* mix = nullptr;        // [count]
  int count = 0;
  std::vector<BadSample> bad;  // samples of this batch that did not decode
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Blocks until the next batch is ready; nullptr at the end of the epoch. Throws Error. One caller at a time.
  virtual const Batch* acquire() = 0;
  // Gives the slot of the batch acquired last back to the preparing threads.
  virtual void release() = 0;
  virtual int64_t remaining() const = 0;
  virtual int height() const = 0;
  virtual int width() const = 0;
};

}  // namespace sknet
