// Memory of a batch's pixels: taken from the system in huge pages, not written to before it is used, handed from owner to owner.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace sknet::data {

class FloatBuffer {
 public:
  FloatBuffer() = default;
  // Throws std::bad_alloc.
  explicit FloatBuffer(size_t floats);
  ~FloatBuffer();
  FloatBuffer(FloatBuffer&& other) noexcept;
  FloatBuffer& operator=(FloatBuffer&& other) noexcept;

  float* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  float* data_ = nullptr;
  size_t size_ = 0;
};

// Buffers of one size that are not in use, a few at most: pages that are there already cost nothing. Any thread.
class FloatBufferPool {
 public:
  // One from the pool, or a new one.
  FloatBuffer take(size_t floats);
  void put(FloatBuffer buffer);

 private:
  std::mutex mutex_;
  std::vector<FloatBuffer> free_;
};

}  // namespace sknet::data
