// The CUDA runtime's objects, released by their owners.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include "cuda/runtime_check.h"
#include "cuda/simt/runtime.h"

namespace sknet::cuda {

template <auto kRelease>
struct Release {
  template <class T>
  void operator()(T* p) const {
    (void)kRelease(p);
  }
};

using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Release<cudaStreamDestroy>>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Release<cudaEventDestroy>>;
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Release<cudaGraphExecDestroy>>;
// Overloads of the runtime's that take any pointer cannot be template arguments.
inline cudaError_t free_device(void* p) { return cudaFree(p); }
inline cudaError_t free_pinned(void* p) { return cudaFreeHost(p); }
using DeviceMemory = std::unique_ptr<char, Release<free_device>>;
using PinnedMemory = std::unique_ptr<char, Release<free_pinned>>;

// Streams do not wait for the default stream, which nothing here uses.
inline Stream make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

inline Event make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return Event(event);
}

inline PinnedMemory pinned(size_t bytes) {
  void* p = nullptr;
  check_cuda(cudaHostAlloc(&p, bytes, cudaHostAllocDefault), "allocating host memory");
  return PinnedMemory(static_cast<char*>(p));
}

// What `record` launches on `stream`, as a graph; nothing runs.
template <class F>
Graph capture(cudaStream_t stream, const F& record) {
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a step");
  cudaGraph_t graph = nullptr;
  try {
    record();
  } catch (...) {
    (void)cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream, &graph), "recording a step");
  cudaGraphExec_t exec = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&exec, graph, 0);
  (void)cudaGraphDestroy(graph);
  check_cuda(error, "building a graph");
  return Graph(exec);
}

}  // namespace sknet::cuda
