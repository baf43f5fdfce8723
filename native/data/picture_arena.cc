#include "data/picture_arena.h"

#include <algorithm>

#include "core/picture.h"

namespace sknet::data {

void PictureArena::reset(uint8_t* memory, int64_t capacity, int64_t images, int64_t least) {
  const std::lock_guard lock(mutex_);
  memory_ = memory;
  least_ = least;
  used_ = 0;
  spare_ = capacity - images * least;
}

int64_t PictureArena::take(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const int64_t size = picture_bytes(bytes), beyond = std::max<int64_t>(0, size - least_);
  if (beyond > spare_) return -1;
  spare_ -= beyond;
  used_ += size;
  return used_ - size;
}

int64_t PictureArena::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace sknet::data
