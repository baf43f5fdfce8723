#include "data/float_buffer.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace sknet::data {

namespace {

constexpr size_t kMostFree = 3;

}  // namespace

FloatBuffer::FloatBuffer(size_t floats) : size_(floats) {
  if (floats == 0) return;
  void* memory = mmap(nullptr, floats * sizeof(float), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<float*>(memory);
  // Only a wish, so the result does not matter.
  (void)madvise(memory, floats * sizeof(float), MADV_HUGEPAGE);
}

FloatBuffer::~FloatBuffer() {
  if (data_ != nullptr) munmap(data_, size_ * sizeof(float));
}

FloatBuffer::FloatBuffer(FloatBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FloatBuffer FloatBufferPool::take(size_t floats) {
  {
    const std::lock_guard lock(mutex_);
    while (!free_.empty()) {
      FloatBuffer buffer = std::move(free_.back());
      free_.pop_back();
      if (buffer.size() == floats) return buffer;
    }
  }
  return FloatBuffer(floats);
}

void FloatBufferPool::put(FloatBuffer buffer) {
  const std::lock_guard lock(mutex_);
  if (free_.size() < kMostFree) free_.push_back(std::move(buffer));
}

}  // namespace sknet::data
