// For libraries made for tests (test/vendor/fake), which stand in for a vendor's and find this by name: work on the device's memory, put on
// a stream or into a graph as a kernel is.
#include "cuda/simt/emulated/runtime_state.h"

extern "C" __attribute__((visibility("default"))) int sknet_simt_submit(void* stream, void (*work)(void* data), void* data) {
  simt::Runtime& r = simt::runtime();
  simt::Lock lock(r.mutex);
  if (const cudaError_t error = simt::begin_call(r, "launch"); error != cudaSuccess) return simt::result(error);
  simt::Stream* found = simt::find_stream(r, static_cast<cudaStream_t>(stream));
  if (found == nullptr) return simt::result(cudaErrorInvalidResourceHandle);
  return simt::result(simt::submit(r, lock, *found, [work, data] { work(data); }));
}
