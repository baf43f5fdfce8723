// Streams, events and kernel launches of the emulated device.
#include <algorithm>
#include <optional>
#include <utility>

#include "cuda/simt/emulated/launch.h"
#include "cuda/simt/emulated/runtime_state.h"

namespace simt {
namespace {

constexpr int kDefaultDynamicBytes = 48 * 1024;

Stream* new_stream(Runtime& r, bool blocking) {
  auto made = std::make_shared<Stream>();
  Stream* stream = made.get();
  stream->blocking = blocking;
  r.streams[stream] = std::move(made);
  return stream;
}

// The device's own thread: it gets on with streams that hold host functions, for which nobody may wait.
void serve(Runtime& r) {
  Lock lock(r.mutex);
  for (;;) {
    const auto next = std::find_if(r.streams.begin(), r.streams.end(), [](const auto& s) { return s.second->hurry; });
    if (next == r.streams.end()) {
      r.changed.wait(lock);
      continue;
    }
    next->second->hurry = false;
    finish(r, lock, *next->second);
  }
}

bool fits(const dim3& size, unsigned x, unsigned y, unsigned z) {
  return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
}

cudaError_t check_launch(const Runtime& r, const void* kernel, const Launch& launch) {
  const dim3& b = launch.block;
  if (!fits(b, kMostLanes, kMostLanes, 64) || b.x * b.y * b.z > kMostLanes) return cudaErrorInvalidConfiguration;
  if (!fits(launch.grid, 0x7fffffff, 65535, 65535)) return cudaErrorInvalidConfiguration;
  const auto limit = r.dynamic_limit.find(kernel);
  const int most = limit == r.dynamic_limit.end() ? kDefaultDynamicBytes : std::max(limit->second, kDefaultDynamicBytes);
  return launch.dynamic_bytes > static_cast<size_t>(most) ? cudaErrorInvalidValue : cudaSuccess;
}

}  // namespace

Stream* find_stream(Runtime& r, cudaStream_t handle) {
  if (handle == nullptr) return &r.default_stream;
  const auto found = r.streams.find(reinterpret_cast<Stream*>(handle));
  return found == r.streams.end() ? nullptr : found->second.get();
}

std::shared_ptr<Event> find_event(Runtime& r, cudaEvent_t handle) {
  const auto found = r.events.find(reinterpret_cast<Event*>(handle));
  return found == r.events.end() ? nullptr : found->second;
}

cudaError_t submit(Runtime& r, Lock& lock, Stream& stream, Work work) {
  if (stream.capture != nullptr) {
    Capture& capture = *stream.capture;
    if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
    capture.nodes.push_back({std::move(work), stream.last});
    stream.last = {capture.nodes.size() - 1};
    return cudaSuccess;
  }
  if (&stream == &r.default_stream) {
    for (const auto& capture : r.captures) {
      if (!capture->origin->blocking) continue;
      capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
    finish_all(r, lock, true);
  }
  stream.pieces.push_back({std::move(work), nullptr, nullptr, 0});
  if (&stream == &r.default_stream) finish(r, lock, stream);
  return cudaSuccess;
}

void hurry(Runtime& r, Stream& stream) {
  stream.hurry = true;
  if (!r.device_thread.joinable()) r.device_thread = std::thread([&r] { serve(r); });
  r.changed.notify_all();
}

void advance(Runtime& r, Lock& lock, Stream& stream, const std::function<bool()>& enough) {
  const std::shared_ptr<Stream> keep = stream.weak_from_this().lock();  // it may be destroyed while this waits
  std::optional<OpenMemory> open;
  while (!enough()) {
    if (stream.busy) {
      r.changed.wait(lock);
      continue;
    }
    if (stream.pieces.empty()) return;
    Piece piece = std::move(stream.pieces.front());
    stream.pieces.pop_front();
    stream.busy = true;
    if (piece.wait != nullptr && piece.wait->done < piece.ticket) {
      const Event& event = *piece.wait;
      advance(r, lock, *event.stream, [&] { return event.done >= piece.ticket; });
    }
    if (piece.work && r.broken == cudaSuccess) {
      if (!open) open.emplace(r);
      lock.unlock();
      piece.work();
      lock.lock();
    }
    if (piece.record != nullptr) {
      piece.record->done = std::max(piece.record->done, piece.ticket);
      piece.record->time = std::chrono::steady_clock::now();
    }
    stream.busy = false;
    r.changed.notify_all();
  }
}

void finish(Runtime& r, Lock& lock, Stream& stream) {
  advance(r, lock, stream, [&] { return stream.pieces.empty() && !stream.busy; });
}

void finish_all(Runtime& r, Lock& lock, bool only_blocking) {
  // By handle: others may come and go while the mutex is released.
  std::vector<Stream*> all;
  for (const auto& [stream, owned] : r.streams) {
    if (stream->blocking || !only_blocking) all.push_back(stream);
  }
  for (Stream* stream : all) {
    if (r.streams.contains(stream)) finish(r, lock, *stream);
  }
  finish(r, lock, r.default_stream);
}

void submit_launch(const void* kernel, Launch launch, cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  cudaError_t error = begin_call(r, "launch");
  if (error == cudaSuccess) error = check_launch(r, kernel, launch);
  Stream* stream = find_stream(r, handle);
  if (error == cudaSuccess && stream == nullptr) error = cudaErrorInvalidResourceHandle;
  if (error == cudaSuccess) {
    error = submit(r, lock, *stream, [&r, launch = std::move(launch)] {
      if (run_grid(launch)) return;
      const Lock death(r.mutex);
      r.broken = cudaErrorLaunchFailure;
    });
  }
  result(error);
}

}  // namespace simt

using simt::begin_call;
using simt::Event;
using simt::Lock;
using simt::result;
using simt::runtime;
using simt::Runtime;
using simt::Stream;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamCreateWithFlags"); error != cudaSuccess) return result(error);
  *stream = reinterpret_cast<cudaStream_t>(simt::new_stream(r, (flags & cudaStreamNonBlocking) == 0));
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) { return cudaStreamCreateWithFlags(stream, flags); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  Stream* stream = simt::find_stream(r, handle);
  if (handle == nullptr || stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  simt::finish(r, lock, *stream);
  r.streams.erase(stream);
  return result(r.broken);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamSynchronize"); error != cudaSuccess) return result(error);
  Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  if (handle == nullptr) {
    simt::finish_all(r, lock, true);
  } else {
    simt::finish(r, lock, *stream);
  }
  return result(r.broken);
}

cudaError_t cudaDeviceSynchronize() {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaDeviceSynchronize", true); error != cudaSuccess) return result(error);
  simt::finish_all(r, lock, false);
  return result(r.broken);
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamQuery"); error != cudaSuccess) return result(error);
  Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  bool asked = false;
  simt::advance(r, lock, *stream, [&] { return std::exchange(asked, true) || stream->busy; });
  if (r.broken != cudaSuccess) return result(r.broken);
  return stream->pieces.empty() && !stream->busy ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaLaunchHostFunc"); error != cudaSuccess) return result(error);
  Stream* stream = simt::find_stream(r, handle);
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  const cudaError_t error = simt::submit(r, lock, *stream, [function, data] {
    simt::in_host_function = true;
    function(data);
    simt::in_host_function = false;
  });
  if (error != cudaSuccess) return result(error);
  if (stream->capture != nullptr) {
    stream->capture->calls_host = true;
  } else {
    simt::hurry(r, *stream);
  }
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaEventCreateWithFlags"); error != cudaSuccess) return result(error);
  auto made = std::make_shared<Event>();
  made->flags = flags;
  *event = reinterpret_cast<cudaEvent_t>(made.get());
  r.events[made.get()] = made;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return result(r.events.erase(reinterpret_cast<Event*>(handle)) == 1 ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaEventRecord"); error != cudaSuccess) return result(error);
  const std::shared_ptr<Event> event = simt::find_event(r, handle);
  Stream* stream = simt::find_stream(r, stream_handle);
  if (event == nullptr || stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  event->capture = stream->capture;
  event->captured = stream->last;
  if (stream->capture != nullptr) return cudaSuccess;
  event->stream = stream;
  stream->pieces.push_back({nullptr, event, nullptr, ++event->recorded});
  if (stream_handle == nullptr) simt::finish_all(r, lock, true);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t handle, unsigned) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaStreamWaitEvent"); error != cudaSuccess) return result(error);
  const std::shared_ptr<Event> event = simt::find_event(r, handle);
  Stream* stream = simt::find_stream(r, stream_handle);
  if (event == nullptr || stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) {  // the stream joins, or comes back to, the capture
    if (stream->capture == nullptr) {
      stream->last.clear();
      stream->capture = event->capture;
    }
    if (stream->capture != event->capture) return result(cudaErrorStreamCaptureMerge);
    stream->last.insert(stream->last.end(), event->captured.begin(), event->captured.end());
    return cudaSuccess;
  }
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return result(cudaErrorStreamCaptureIsolation);
  }
  if (event->recorded > event->done) stream->pieces.push_back({nullptr, nullptr, event, event->recorded});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaEventSynchronize", true); error != cudaSuccess) return result(error);
  const std::shared_ptr<Event> event = simt::find_event(r, handle);
  if (event == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return result(cudaErrorCapturedEvent);
  if (event->done < event->recorded) simt::advance(r, lock, *event->stream, [&, n = event->recorded] { return event->done >= n; });
  return result(r.broken);
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaEventQuery", true); error != cudaSuccess) return result(error);
  const std::shared_ptr<Event> event = simt::find_event(r, handle);
  if (event == nullptr) return result(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return result(cudaErrorCapturedEvent);
  bool asked = false;
  if (event->done < event->recorded) {
    Stream& stream = *event->stream;
    simt::advance(r, lock, stream, [&] { return std::exchange(asked, true) || stream.busy; });
  }
  if (r.broken != cudaSuccess) return result(r.broken);
  return event->done < event->recorded ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaEventElapsedTime"); error != cudaSuccess) return result(error);
  const std::shared_ptr<Event> start = simt::find_event(r, start_handle), end = simt::find_event(r, end_handle);
  if (start == nullptr || end == nullptr || ((start->flags | end->flags) & cudaEventDisableTiming) != 0)
    return result(cudaErrorInvalidResourceHandle);
  if (start->recorded == 0 || end->recorded == 0) return result(cudaErrorInvalidResourceHandle);
  if (start->done < start->recorded || end->done < end->recorded) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}
