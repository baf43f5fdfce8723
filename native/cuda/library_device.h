// What a vendor's library has on each device: a handle, and what is known of each problem it was asked for.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "cuda/libraries.h"
#include "cuda/runtime_check.h"
#include "cuda/simt/runtime.h"

namespace sknet::cuda {

template <class Handle, class Problem, class Known>
struct LibraryDevice {
  Handle handle = nullptr;
  std::string refused;  // why nothing can be asked
  std::map<Problem, Known> problems;
};

// use(device) of the calling thread's device, which is made when first asked for and never destroyed; one thread at a time, as handles and
// answers are kept. start(&handle) says why it made none, or nothing. One kind of Device for each library.
template <class Device, class Start, class F>
auto with_library_device(const LibraryReport& library, const char* variable, const Start& start, const F& use) {
  static std::mutex mutex;
  static auto* const devices = new std::map<int, Device>;
  int index = 0;
  check_cuda(cudaGetDevice(&index), "asking for the device");
  const std::lock_guard<std::mutex> lock(mutex);
  Device& device = (*devices)[index];
  if (device.handle == nullptr && device.refused.empty()) {
    device.refused = library_refused(library, variable);
    if (device.refused.empty()) device.refused = start(&device.handle);
  }
  return use(device);
}

}  // namespace sknet::cuda
