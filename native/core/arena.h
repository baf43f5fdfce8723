// One block of zeroed, page-aligned memory that everything of a plan lives in.
#pragma once

#include <cstddef>

namespace sknet {

class Arena {
 public:
  // Reserves `bytes`; pages are taken as they are touched. Throws Error ERR_SKNET_OOM naming the amount.
  explicit Arena(size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sknet
