// Memory of the emulated device: the host's, with accounting and bounds, closed to host code.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "cuda/simt/emulated/runtime_state.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kPage = 4096;
constexpr int kPoison = 0xff;

#if defined(__SANITIZE_ADDRESS__)

// The sanitizer bounds the memory and keeps the host out.
void* new_device_memory(size_t bytes, Allocation& allocation) {
  void* p = nullptr;
  if (posix_memalign(&p, kAlignment, bytes) != 0) return nullptr;
  allocation.pages = p;
  return p;
}
void free_device_memory(const Allocation& allocation) { free(allocation.pages); }
void set_access(const Allocation& allocation, bool open) {
  if (open) {
    __asan_unpoison_memory_region(allocation.pages, allocation.bytes);
  } else {
    __asan_poison_memory_region(allocation.pages, allocation.bytes);
  }
}

#else

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Pages of its own, which can be closed, and one more behind them that always is.
void* new_device_memory(size_t bytes, Allocation& allocation) {
  const size_t used = round_up(bytes, kAlignment);
  allocation.page_bytes = round_up(used, kPage);
  void* pages = mmap(nullptr, allocation.page_bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  mprotect(static_cast<char*>(pages) + allocation.page_bytes, kPage, PROT_NONE);
  allocation.pages = pages;
  return static_cast<char*>(pages) + allocation.page_bytes - used;
}
void free_device_memory(const Allocation& allocation) { munmap(allocation.pages, allocation.page_bytes + kPage); }
void set_access(const Allocation& allocation, bool open) {
  mprotect(allocation.pages, allocation.page_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

#endif

cudaError_t allocate(Runtime& r, void** p, size_t bytes, bool device) {
  *p = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (device && bytes > r.device.bytes - r.device_bytes) return cudaErrorMemoryAllocation;
  Allocation allocation{.bytes = bytes, .device = device, .pages = nullptr, .page_bytes = 0};
  if (device) {
    *p = new_device_memory(bytes, allocation);
  } else if (posix_memalign(p, kPage, bytes) != 0) {
    *p = nullptr;
  }
  if (*p == nullptr) return cudaErrorMemoryAllocation;
  memset(*p, kPoison, bytes);
  r.memory[reinterpret_cast<uintptr_t>(*p)] = allocation;
  if (!device) return cudaSuccess;
  r.device_bytes += bytes;
  if (r.open == 0) set_access(allocation, false);
  return cudaSuccess;
}

cudaError_t release(Runtime& r, Lock& lock, void* p, bool device) {
  if (p == nullptr) return cudaSuccess;
  finish_all(r, lock, false);  // a broken device just drops what is left
  const auto found = r.memory.find(reinterpret_cast<uintptr_t>(p));
  if (found == r.memory.end() || found->second.device != device) return cudaErrorInvalidValue;
  if (device) {
    r.device_bytes -= found->second.bytes;
    set_access(found->second, true);
    free_device_memory(found->second);
  } else {
    free(p);
  }
  r.memory.erase(found);
  return cudaSuccess;
}

// cudaSuccess, or what is wrong with the copy.
cudaError_t check_copy(const Runtime& r, const void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device && !is_within(r, to, bytes, true)) return cudaErrorInvalidValue;
  if (from_device && !is_within(r, from, bytes, true)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

void set_access_of_all(const Runtime& r, bool open) {
  for (const auto& [p, allocation] : r.memory) {
    if (allocation.device) set_access(allocation, open);
  }
}

}  // namespace

OpenMemory::OpenMemory(Runtime& r) : r_(r) {
  if (r_.open++ == 0) set_access_of_all(r_, true);
}
OpenMemory::~OpenMemory() {
  if (--r_.open == 0) set_access_of_all(r_, false);
}

bool is_within(const Runtime& r, const void* p, size_t bytes, bool device) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(p);
  auto found = r.memory.upper_bound(at);
  if (found == r.memory.begin()) return false;
  --found;
  return found->second.device == device && bytes <= found->second.bytes && at - found->first <= found->second.bytes - bytes;
}

}  // namespace simt

using simt::begin_call;
using simt::Lock;
using simt::result;
using simt::runtime;
using simt::Runtime;

cudaError_t cudaMalloc(void** p, size_t bytes) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMalloc", true); error != cudaSuccess) return result(error);
  return result(simt::allocate(r, p, bytes, true));
}

cudaError_t cudaFree(void* p) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  const cudaError_t error = begin_call(r, "cudaFree", true);
  if (error != cudaSuccess && error != r.broken) return result(error);
  const cudaError_t released = simt::release(r, lock, p, true);
  return result(error != cudaSuccess ? error : released);
}

cudaError_t cudaMallocHost(void** p, size_t bytes, unsigned) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMallocHost", true); error != cudaSuccess) return result(error);
  return result(simt::allocate(r, p, bytes, false));
}

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaHostAlloc", true); error != cudaSuccess) return result(error);
  return result(simt::allocate(r, p, bytes, false));
}

cudaError_t cudaFreeHost(void* p) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  const cudaError_t error = begin_call(r, "cudaFreeHost", true);
  if (error != cudaSuccess && error != r.broken) return result(error);
  const cudaError_t released = simt::release(r, lock, p, false);
  return result(error != cudaSuccess ? error : released);
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMemcpy", true); error != cudaSuccess) return result(error);
  if (const cudaError_t error = simt::check_copy(r, to, from, bytes, kind); error != cudaSuccess) return result(error);
  simt::finish_all(r, lock, true);
  if (r.broken != cudaSuccess) return result(r.broken);
  const simt::OpenMemory open(r);
  memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMemcpyAsync"); error != cudaSuccess) return result(error);
  if (const cudaError_t error = simt::check_copy(r, to, from, bytes, kind); error != cudaSuccess) return result(error);
  simt::Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  const bool pageable_source = kind == cudaMemcpyHostToDevice && !simt::is_within(r, from, bytes, false);
  const bool pageable_target = kind == cudaMemcpyDeviceToHost && !simt::is_within(r, to, bytes, false);
  if (pageable_source && stream->capture == nullptr) {  // such memory is staged before the call returns
    const char* first = static_cast<const char*>(from);
    return result(simt::submit(r, lock, *stream,
                               [to, staged = std::vector<char>(first, first + bytes)] { memcpy(to, staged.data(), staged.size()); }));
  }
  const cudaError_t error = simt::submit(r, lock, *stream, [to, from, bytes] { memmove(to, from, bytes); });
  if (error == cudaSuccess && pageable_target && stream->capture == nullptr) simt::finish(r, lock, *stream);
  return result(error);
}

cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMemset", true); error != cudaSuccess) return result(error);
  if (!simt::is_within(r, p, bytes, true)) return result(cudaErrorInvalidValue);
  simt::finish_all(r, lock, true);
  if (r.broken != cudaSuccess) return result(r.broken);
  const simt::OpenMemory open(r);
  memset(p, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMemsetAsync"); error != cudaSuccess) return result(error);
  if (!simt::is_within(r, p, bytes, true)) return result(cudaErrorInvalidValue);
  simt::Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  return result(simt::submit(r, lock, *stream, [p, value, bytes] { memset(p, value, bytes); }));
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaMemGetInfo"); error != cudaSuccess) return result(error);
  *total = r.device.bytes;
  *free = r.device.bytes - r.device_bytes;
  return cudaSuccess;
}
