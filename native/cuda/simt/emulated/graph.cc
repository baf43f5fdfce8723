// Graphs of the emulated device: while a stream is captured its work is written down, and a launch does all of it. It runs in an order as
// unlike the order of submission as the captured dependencies allow, so that one that is missing shows.
#include <algorithm>

#include "cuda/simt/emulated/runtime_state.h"

namespace simt {
namespace {

// The nodes that `last` comes after, and it, each behind what it comes after.
std::vector<size_t> order_of(const Capture& capture, const std::vector<size_t>& last) {
  std::vector<size_t> order;
  std::vector<char> seen(capture.nodes.size());
  struct Visit {
    size_t node, next;
  };
  std::vector<Visit> path;
  const auto visit = [&](size_t node) {
    if (!seen[node]) path.push_back({node, 0});
    seen[node] = 1;
  };
  for (const size_t node : last) {
    visit(node);
    while (!path.empty()) {
      const std::vector<size_t>& after = capture.nodes[path.back().node].after;
      if (path.back().next < after.size()) {
        visit(after[path.back().next++]);
      } else {
        order.push_back(path.back().node);
        path.pop_back();
      }
    }
  }
  return order;
}

std::shared_ptr<Capture> find_graph(Runtime& r, const void* handle) {
  const auto found = r.graphs.find(handle);
  return found == r.graphs.end() ? nullptr : found->second;
}

// A handle of its own for every graph and every instance.
const void* keep(Runtime& r, std::shared_ptr<Capture> graph) {
  const void* handle = new char;
  r.graphs[handle] = std::move(graph);
  return handle;
}

cudaError_t drop(Runtime& r, const void* handle) {
  if (r.graphs.erase(handle) == 0) return cudaErrorInvalidValue;
  delete static_cast<const char*>(handle);
  return cudaSuccess;
}

}  // namespace
}  // namespace simt

using simt::begin_call;
using simt::Capture;
using simt::Lock;
using simt::result;
using simt::runtime;
using simt::Runtime;
using simt::Stream;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamBeginCapture"); error != cudaSuccess) return result(error);
  Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (handle == nullptr || stream->capture != nullptr) return result(cudaErrorStreamCaptureUnsupported);
  stream->capture = std::make_shared<Capture>(Capture{.origin = stream, .mode = mode, .thread = std::this_thread::get_id(), .nodes = {}});
  stream->last.clear();
  r.captures.push_back(stream->capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamEndCapture"); error != cudaSuccess) return result(error);
  *graph = nullptr;
  Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr || stream->capture == nullptr) return result(cudaErrorInvalidValue);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture->origin != stream) return result(cudaErrorStreamCaptureUnmatched);
  const std::vector<size_t> order = simt::order_of(*capture, stream->last);
  std::erase(r.captures, capture);
  for (const auto& [other, owned] : r.streams) {
    if (other->capture == capture) other->capture = nullptr;
  }
  for (const auto& [event, owned] : r.events) {
    if (event->capture == capture) event->capture = nullptr;
  }
  if (capture->invalid) return result(cudaErrorStreamCaptureInvalidated);
  if (order.size() != capture->nodes.size()) return result(cudaErrorStreamCaptureUnjoined);
  std::vector<Capture::Node> nodes;
  for (const size_t node : order) nodes.push_back(std::move(capture->nodes[node]));
  capture->nodes = std::move(nodes);
  *graph = static_cast<cudaGraph_t>(const_cast<void*>(simt::keep(r, capture)));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  const Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, size_t* count) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  const std::shared_ptr<Capture> graph = simt::find_graph(r, handle);
  if (graph == nullptr || nodes != nullptr) return result(cudaErrorInvalidValue);
  *count = graph->nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t handle, unsigned long long) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaGraphInstantiate"); error != cudaSuccess) return result(error);
  const std::shared_ptr<Capture> graph = simt::find_graph(r, handle);
  if (graph == nullptr) return result(cudaErrorInvalidValue);
  *exec = static_cast<cudaGraphExec_t>(const_cast<void*>(simt::keep(r, graph)));
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaGraphUpload"); error != cudaSuccess) return result(error);
  return result(simt::find_graph(r, handle) == nullptr ? cudaErrorInvalidValue : cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaGraphLaunch"); error != cudaSuccess) return result(error);
  const std::shared_ptr<Capture> graph = simt::find_graph(r, handle);
  Stream* stream = simt::find_stream(r, stream_handle);
  if (graph == nullptr) return result(cudaErrorInvalidValue);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  const cudaError_t error = simt::submit(r, lock, *stream, [&r, graph] {
    for (const Capture::Node& node : graph->nodes) {
      {
        const Lock check(r.mutex);
        if (r.broken != cudaSuccess) return;
      }
      node.work();
    }
  });
  if (error == cudaSuccess && graph->calls_host) simt::hurry(r, *stream);
  return result(error);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return result(simt::drop(r, handle));
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return result(simt::drop(r, handle));
}
