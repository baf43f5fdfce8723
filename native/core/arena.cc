#include "core/arena.h"

#include <sys/mman.h>

#include <string>

#include "core/error.h"

namespace sknet {

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}

Arena::Arena(size_t bytes) : size_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
  if (size_ == 0) return;
  void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    throw Error("ERR_SKNET_OOM",
                "not enough memory: the plan needs " + std::to_string(size_ >> 20) + " MiB; use a smaller batchSize or shardSize")
        .with_option("batchSize")
        .with_got(std::to_string(size_) + " bytes");
  }
  data_ = static_cast<char*>(p);
  // Fewer TLB misses and page faults on large activations; only a wish, so the result does not matter.
  (void)madvise(p, size_, MADV_HUGEPAGE);
}

Arena::~Arena() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace sknet
