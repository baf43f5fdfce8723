// The bytes of one batch, shared out among the threads that prepare its pictures.
#pragma once

#include <cstdint>
#include <mutex>

namespace sknet::data {

class PictureArena {
 public:
  // `least`: what every image may always take once. The rest of `capacity` goes to whoever asks first.
  void reset(uint8_t* memory, int64_t capacity, int64_t images, int64_t least);

  // Where `bytes` begin, rounded up to whole pieces (core/picture.h); -1 where more than `least` are wanted than are left.
  int64_t take(int64_t bytes);
  uint8_t* at(int64_t offset) const { return memory_ + offset; }
  const uint8_t* data() const { return memory_; }
  int64_t used() const;

 private:
  mutable std::mutex mutex_;
  uint8_t* memory_ = nullptr;
  int64_t used_ = 0, least_ = 0, spare_ = 0;
};

}  // namespace sknet::data
