// The samples of one split of a data set: how many, their labels, what is stored of each.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace sknet::data {

// One sample as it is stored.
struct StoredImage {
  std::span<const uint8_t> bytes;  // a JPEG or PNG file; or RGB pixels, [height, width, 3]
  int width = 0, height = 0;       // of pixels; 0: the bytes are a file

  bool encoded() const { return width == 0; }
};

// Neighbouring samples that are read at one go, where a data set lies in large files.
struct Chunk {
  int64_t first;  // its samples go on to the next chunk's first
  int64_t bytes;
};

inline constexpr int64_t kWindowBytes = int64_t{512} << 20;

// Immutable after construction, so any number of loaders and threads may share one.
class Source {
 public:
  virtual ~Source() = default;
  virtual int64_t size() const = 0;
  virtual int32_t label(int64_t index) const = 0;
  // Where the sample is, for people: a file, or a file and the record in it.
  virtual std::string path(int64_t index) const = 0;
  // Throws Error ERR_SKNET_DATA with a reason that does not repeat the path. The result may point into `buffer`, which is the calling
  // thread's.
  virtual StoredImage read(int64_t index, std::vector<uint8_t>& buffer) const = 0;
  // Larger pictures are refused before memory is taken for them.
  virtual int64_t max_pixels() const { return std::numeric_limits<int32_t>::max(); }
  // What was left out when it was opened, in words.
  virtual std::vector<std::string> notes() const { return {}; }

  // In ascending order, the first one starting at 0; empty where any order is as cheap as another.
  virtual std::vector<Chunk> chunks() const { return {}; }
  // How much of them is shuffled at once.
  virtual int64_t window_bytes() const { return kWindowBytes; }
  // Above 0: samples come one after the other only, and are shuffled within windows of so many.
  virtual int64_t stream_window() const { return 0; }
  // A hint that a chunk's samples are going to be read; returns at once.
  virtual void read_ahead(size_t) const {}

  // Above 0: samples come through the loader's Feed instead of read(), with labels below this number of classes.
  virtual int fed_classes() const { return 0; }
  // false: label() does not tell, each sample brings its label.
  virtual bool knows_labels() const { return true; }
};

}  // namespace sknet::data
