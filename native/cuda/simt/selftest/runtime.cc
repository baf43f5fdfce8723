// The emulated CUDA runtime: streams and events keep their order and no more, graphs replay, memory is counted, failures come as told.
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "cuda/simt/emulated/control.h"
#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace simt_test;

__global__ void append(int* list, int value) {
  if (threadIdx.x == 0) list[++list[0]] = value;
}

// A stream of its own, and a list in device memory that kernels write their turn to.
struct Fixture {
  Fixture() { make(); }
  ~Fixture() {
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    cudaEventDestroy(event);
    cudaFree(list);
    cudaFreeHost(pinned);
  }
  void make() {
    expect_call(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking), cudaSuccess, "stream");
    expect_call(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking), cudaSuccess, "stream");
    expect_call(cudaEventCreate(&event), cudaSuccess, "event");
    expect_call(cudaMalloc(&list, 64 * sizeof(int)), cudaSuccess, "list");
    expect_call(cudaMemset(list, 0, 64 * sizeof(int)), cudaSuccess, "list");
    expect_call(cudaMallocHost(&pinned, 64 * sizeof(int)), cudaSuccess, "pinned");
  }
  void turn(cudaStream_t stream, int value) { SIMT_LAUNCH(append, 1, 32, 0, stream, list, value); }
  std::vector<int> turns() {
    int values[64];
    expect_call(cudaMemcpy(values, list, sizeof(values), cudaMemcpyDeviceToHost), cudaSuccess, "read");
    return {values + 1, values + 1 + values[0]};
  }
  void expect_turns(const std::vector<int>& expected, const char* what) {
    std::string got, wanted;
    for (const int v : turns()) got += std::to_string(v) + " ";
    for (const int v : expected) wanted += std::to_string(v) + " ";
    expect(got == wanted, std::string(what) + ": got " + got + "expected " + wanted);
  }

  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  int* list = nullptr;
  int* pinned = nullptr;
};

SIMT_TEST(streams_do_nothing_until_waited_for) {
  Fixture f;
  f.turn(f.a, 1);
  f.turn(f.b, 2);
  f.turn(f.a, 3);
  f.expect_turns({}, "before");
  expect_call(cudaStreamQuery(f.a), cudaErrorNotReady, "query");
  f.expect_turns({1}, "after a query");
  expect_call(cudaStreamSynchronize(f.a), cudaSuccess, "synchronize");
  f.expect_turns({1, 3}, "one stream");
  expect_call(cudaStreamQuery(f.a), cudaSuccess, "query");
  expect_call(cudaDeviceSynchronize(), cudaSuccess, "device");
  f.expect_turns({1, 3, 2}, "all");
}

SIMT_TEST(events_order_streams) {
  Fixture f;
  f.turn(f.a, 1);
  expect_call(cudaEventRecord(f.event, f.a), cudaSuccess, "record");
  f.turn(f.a, 2);
  expect_call(cudaStreamWaitEvent(f.b, f.event), cudaSuccess, "wait");
  f.turn(f.b, 3);
  expect_call(cudaEventQuery(f.event), cudaErrorNotReady, "query");
  expect_call(cudaStreamSynchronize(f.b), cudaSuccess, "synchronize");
  f.expect_turns({1, 3}, "what was waited for");
  expect_call(cudaEventQuery(f.event), cudaSuccess, "query");
  f.turn(f.a, 4);
  expect_call(cudaEventRecord(f.event, f.a), cudaSuccess, "record");
  expect_call(cudaEventSynchronize(f.event), cudaSuccess, "synchronize");
  f.expect_turns({1, 3, 2, 4}, "the second record");
}

SIMT_TEST(events_tell_time) {
  Fixture f;
  cudaEvent_t end, untimed;
  expect_call(cudaEventCreate(&end), cudaSuccess, "create");
  expect_call(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming), cudaSuccess, "create");
  float milliseconds = -1;
  expect_call(cudaEventElapsedTime(&milliseconds, f.event, end), cudaErrorInvalidResourceHandle, "never recorded");
  for (const cudaEvent_t event : {f.event, untimed, end}) expect_call(cudaEventRecord(event, f.a), cudaSuccess, "record");
  expect_call(cudaEventElapsedTime(&milliseconds, f.event, end), cudaErrorNotReady, "not reached");
  expect_call(cudaEventSynchronize(end), cudaSuccess, "synchronize");
  expect_call(cudaEventElapsedTime(&milliseconds, f.event, end), cudaSuccess, "elapsed");
  expect(milliseconds >= 0 && milliseconds < 10000, "milliseconds");
  expect_call(cudaEventElapsedTime(&milliseconds, f.event, untimed), cudaErrorInvalidResourceHandle, "without timing");
  expect_call(cudaEventDestroy(end), cudaSuccess, "destroy");
  expect_call(cudaEventDestroy(end), cudaErrorInvalidResourceHandle, "destroy twice");
  cudaEventDestroy(untimed);
  cudaGetLastError();
}

SIMT_TEST(copies_read_pinned_memory_when_they_run) {
  Fixture f;
  int pageable[2] = {0, 5};
  f.pinned[0] = 0;
  f.pinned[1] = 1;
  expect_call(cudaMemcpyAsync(f.list + 8, f.pinned, 8, cudaMemcpyHostToDevice, f.a), cudaSuccess, "pinned");
  expect_call(cudaMemcpyAsync(f.list + 16, pageable, 8, cudaMemcpyHostToDevice, f.a), cudaSuccess, "pageable");
  f.pinned[1] = 2;  // too early, as a device may show
  pageable[1] = 6;  // was staged
  int got[2] = {};
  expect_call(cudaMemcpyAsync(got, f.list + 8, 8, cudaMemcpyDeviceToHost, f.a), cudaSuccess, "to pageable memory: waits");
  expect_equal(got[1], 2, "pinned");
  expect_call(cudaMemcpy(got, f.list + 16, 8, cudaMemcpyDeviceToHost), cudaSuccess, "read");
  expect_equal(got[1], 5, "pageable");
  f.pinned[1] = 0;
  expect_call(cudaMemsetAsync(f.list + 8, 1, 8, f.a), cudaSuccess, "memset");
  expect_call(cudaMemcpyAsync(f.pinned, f.list + 8, 8, cudaMemcpyDeviceToHost, f.a), cudaSuccess, "to pinned memory");
  expect_equal(f.pinned[1], 0, "not yet");
  expect_call(cudaStreamSynchronize(f.a), cudaSuccess, "synchronize");
  expect_equal(f.pinned[1], 0x01010101, "now");
}

SIMT_TEST(copies_are_checked) {
  Fixture f;
  int host[64] = {};
  expect_call(cudaMemcpy(host, f.list, 65 * sizeof(int), cudaMemcpyDeviceToHost), cudaErrorInvalidValue, "too long");
  expect_call(cudaMemcpy(f.list, host, 4, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue, "the host's is not the device's");
  expect_call(cudaMemcpyAsync(host, host, 4, cudaMemcpyHostToDevice, f.a), cudaErrorInvalidValue, "nor the other way");
  expect_call(cudaMemset(f.list + 1, 0, 64 * sizeof(int)), cudaErrorInvalidValue, "memset too long");
  expect_call(cudaFree(host), cudaErrorInvalidValue, "free");
  expect_call(cudaFreeHost(f.list), cudaErrorInvalidValue, "free");
  expect_call(cudaGetLastError(), cudaErrorInvalidValue, "last error");
  expect_call(cudaGetLastError(), cudaSuccess, "is told once");
}

SIMT_TEST(memory_is_counted) {
  const simt::DeviceSettings before = simt::device_settings();
  simt::DeviceSettings small = before;
  const size_t used = simt::device_bytes_in_use();
  small.bytes = used + 1000;
  simt::set_device_settings(small);
  void *first = nullptr, *second = nullptr;
  size_t free_bytes = 0, total = 0;
  expect_call(cudaMalloc(&first, 600), cudaSuccess, "first");
  expect_call(cudaMalloc(&second, 600), cudaErrorMemoryAllocation, "second");
  expect(second == nullptr, "no memory");
  expect_call(cudaMemGetInfo(&free_bytes, &total), cudaSuccess, "info");
  expect_equal(free_bytes, size_t{400}, "free");
  expect_equal(total, used + 1000, "total");
  expect_call(cudaFree(first), cudaSuccess, "free");
  expect_equal(simt::device_bytes_in_use(), used, "bytes");
  expect_call(cudaMalloc(&second, 1000), cudaSuccess, "then");
  expect_call(cudaFree(second), cudaSuccess, "free");
  cudaGetLastError();
  simt::set_device_settings(before);
}

SIMT_TEST(drivers_and_devices_can_be_missing) {
  const simt::DeviceSettings before = simt::device_settings();
  int count = -1, version = -1;
  void* p = nullptr;
  simt::set_device_settings({.driver_version = 0});
  expect_call(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver, "no driver");
  expect_call(cudaDriverGetVersion(&version), cudaSuccess, "version");
  expect_equal(version, 0, "no driver");
  simt::set_device_settings({.driver_version = 11000});
  expect_call(cudaMalloc(&p, 4), cudaErrorInsufficientDriver, "old driver");
  expect_call(cudaDriverGetVersion(&version), cudaSuccess, "version");
  expect_equal(version, 11000, "old driver");
  simt::set_device_settings({.count = 0});
  expect_call(cudaGetDeviceCount(&count), cudaErrorNoDevice, "no device");
  expect_equal(count, 0, "no device");
  simt::set_device_settings({.count = 2, .major = 7, .minor = 5});
  cudaDeviceProp properties;
  int major = 0;
  expect_call(cudaGetDeviceProperties(&properties, 1), cudaSuccess, "properties");
  expect_equal(properties.major * 10 + properties.minor, 75, "capability");
  expect_call(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 1), cudaSuccess, "attribute");
  expect_equal(major, 7, "capability");
  expect_call(cudaSetDevice(1), cudaSuccess, "device");
  expect_call(cudaSetDevice(2), cudaErrorInvalidDevice, "device");
  expect_call(cudaSetDevice(0), cudaSuccess, "device");
  cudaGetLastError();
  simt::set_device_settings(before);
}

SIMT_TEST(calls_fail_when_told_to) {
  Fixture f;
  void* p = nullptr;
  simt::fail_call("cudaMalloc", cudaErrorMemoryAllocation, 1);
  expect_call(cudaMalloc(&p, 4), cudaSuccess, "before");
  expect_call(cudaFree(p), cudaSuccess, "free");
  expect_call(cudaMalloc(&p, 4), cudaErrorMemoryAllocation, "as told");
  expect_call(cudaMalloc(&p, 4), cudaSuccess, "once");
  expect_call(cudaFree(p), cudaSuccess, "free");
  cudaGetLastError();
  simt::fail_call("launch", cudaErrorIllegalAddress);
  f.turn(f.a, 1);
  expect_call(cudaGetLastError(), cudaErrorIllegalAddress, "launch");
  expect_call(cudaStreamSynchronize(f.a), cudaErrorIllegalAddress, "for good");
  simt::repair_device();
  expect_call(cudaStreamSynchronize(f.a), cudaSuccess, "until repaired");
}

SIMT_TEST(launches_are_checked) {
  Fixture f;
  const auto launch = [&](dim3 grid, dim3 block, size_t dynamic_bytes) {
    SIMT_LAUNCH(append, grid, block, dynamic_bytes, f.a, f.list, 1);
    return cudaGetLastError();
  };
  expect_call(launch(1, 1025, 0), cudaErrorInvalidConfiguration, "block");
  expect_call(launch(1, dim3(32, 8, 8), 0), cudaErrorInvalidConfiguration, "block");
  expect_call(launch(0, 32, 0), cudaErrorInvalidConfiguration, "grid");
  expect_call(launch(dim3(1, 65536), 32, 0), cudaErrorInvalidConfiguration, "grid");
  expect_call(launch(1, 32, 48 * 1024), cudaSuccess, "48 KB");
  expect_call(launch(1, 32, 48 * 1024 + 1), cudaErrorInvalidValue, "more");
  expect_call(cudaFuncSetAttribute(append, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024), cudaSuccess, "opt in");
  expect_call(launch(1, 32, 100 * 1024), cudaSuccess, "100 KB");
  expect_call(launch(1, 32, 100 * 1024 + 1), cudaErrorInvalidValue, "more");
  expect_call(cudaFuncSetAttribute(append, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024), cudaErrorInvalidValue, "too much");
  cudaGetLastError();
}

SIMT_TEST(default_stream_waits_for_blocking_streams) {
  Fixture f;
  cudaStream_t blocking;
  expect_call(cudaStreamCreate(&blocking), cudaSuccess, "stream");
  f.turn(blocking, 1);
  f.turn(f.a, 2);
  f.turn(nullptr, 3);
  f.expect_turns({1, 3}, "blocking ones only");
  expect_call(cudaStreamDestroy(blocking), cudaSuccess, "destroy");
}

struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  int calls = 0;
  cudaError_t error = cudaSuccess;
  static void call(void* data) {
    Signal& s = *static_cast<Signal*>(data);
    const std::lock_guard lock(s.mutex);
    ++s.calls;
    s.error = cudaStreamSynchronize(nullptr);
    s.changed.notify_all();
  }
  bool wait(int for_calls) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(60), [&] { return calls >= for_calls; });
  }
};

SIMT_TEST(host_functions_are_called_without_being_waited_for) {
  Fixture f;
  Signal signal;
  f.turn(f.b, 1);
  expect_call(cudaEventRecord(f.event, f.b), cudaSuccess, "record");
  expect_call(cudaStreamWaitEvent(f.a, f.event), cudaSuccess, "wait");
  expect_call(cudaLaunchHostFunc(f.a, Signal::call, &signal), cudaSuccess, "launch");
  expect(signal.wait(1), "the call");
  expect_call(signal.error, cudaErrorNotPermitted, "calls from host functions");
  f.expect_turns({1}, "what the stream waited for");
}

SIMT_TEST(graphs_replay_what_was_captured) {
  Fixture f;
  Signal signal;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  size_t nodes = 0;
  expect_call(cudaStreamBeginCapture(f.a, cudaStreamCaptureModeGlobal), cudaSuccess, "begin");
  f.turn(f.a, 1);
  expect_call(cudaEventRecord(f.event, f.a), cudaSuccess, "fork");
  expect_call(cudaStreamWaitEvent(f.b, f.event), cudaSuccess, "fork");
  f.turn(f.b, 2);
  f.turn(f.a, 3);
  expect_call(cudaEventRecord(f.event, f.b), cudaSuccess, "join");
  expect_call(cudaStreamWaitEvent(f.a, f.event), cudaSuccess, "join");
  expect_call(cudaMemcpyAsync(f.pinned, f.list, 64 * sizeof(int), cudaMemcpyDeviceToHost, f.a), cudaSuccess, "copy");
  expect_call(cudaLaunchHostFunc(f.a, Signal::call, &signal), cudaSuccess, "call");
  expect_call(cudaStreamEndCapture(f.a, &graph), cudaSuccess, "end");
  f.expect_turns({}, "capturing runs nothing");
  expect_call(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess, "nodes");
  expect_equal(nodes, size_t{5}, "nodes");
  expect_call(cudaGraphInstantiate(&exec, graph), cudaSuccess, "instantiate");
  expect_call(cudaGraphDestroy(graph), cudaSuccess, "destroy");
  expect_call(cudaGraphUpload(exec, f.a), cudaSuccess, "upload");
  for (int launch = 1; launch <= 3; ++launch) {
    expect_call(cudaGraphLaunch(exec, f.a), cudaSuccess, "launch");
    expect(signal.wait(launch), "the call");
    expect_equal(f.pinned[0], 3 * launch, "turns");
  }
  // 2 and 3 do not wait for each other.
  f.expect_turns({1, 3, 2, 1, 3, 2, 1, 3, 2}, "replays");
  expect_call(cudaGraphExecDestroy(exec), cudaSuccess, "destroy");
  expect_call(cudaGraphLaunch(exec, f.a), cudaErrorInvalidValue, "launch of nothing");
  cudaGetLastError();
}

SIMT_TEST(captures_refuse_what_cannot_be_captured) {
  Fixture f;
  cudaGraph_t graph;
  void* p = nullptr;
  const auto begin = [&] { expect_call(cudaStreamBeginCapture(f.a, cudaStreamCaptureModeGlobal), cudaSuccess, "begin"); };
  const auto expect_end = [&](cudaError_t error, const char* what) {
    expect_call(cudaStreamEndCapture(f.a, &graph), error, what);
    if (error == cudaSuccess) cudaGraphDestroy(graph);
    cudaGetLastError();
  };
  begin();
  expect_call(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported, "allocation");
  expect_end(cudaErrorStreamCaptureInvalidated, "after an allocation");
  begin();
  expect_call(cudaStreamSynchronize(f.a), cudaErrorStreamCaptureUnsupported, "synchronization");
  f.turn(f.a, 1);
  expect_call(cudaGetLastError(), cudaErrorStreamCaptureInvalidated, "launch");
  expect_end(cudaErrorStreamCaptureInvalidated, "after a synchronization");
  expect_call(cudaEventRecord(f.event, f.b), cudaSuccess, "record");
  begin();
  expect_call(cudaStreamWaitEvent(f.a, f.event), cudaErrorStreamCaptureIsolation, "an event of before");
  expect_end(cudaErrorStreamCaptureInvalidated, "after it");
  begin();
  expect_call(cudaEventRecord(f.event, f.a), cudaSuccess, "fork");
  expect_call(cudaStreamWaitEvent(f.b, f.event), cudaSuccess, "fork");
  f.turn(f.b, 1);
  expect_call(cudaStreamEndCapture(f.b, &graph), cudaErrorStreamCaptureUnmatched, "the other stream");
  expect_end(cudaErrorStreamCaptureUnjoined, "never joined");
  begin();
  expect_call(cudaStreamBeginCapture(f.a, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported, "twice");
  expect_end(cudaSuccess, "nothing wrong");
  f.expect_turns({}, "nothing ran");
}

SIMT_TEST(work_after_a_death_is_dropped) {
  Fixture f;
  f.turn(f.a, 1);
  SIMT_LAUNCH(append, 1, 32, 0, f.a, f.list + 1000000000, 1);  // never run: the failure comes first
  simt::fail_call("cudaStreamQuery", cudaErrorLaunchFailure);
  expect_call(cudaStreamQuery(f.a), cudaErrorLaunchFailure, "failure");
  expect_call(cudaStreamSynchronize(f.a), cudaErrorLaunchFailure, "drops");
  simt::repair_device();
  expect_call(cudaStreamSynchronize(f.a), cudaSuccess, "empty");
  f.expect_turns({}, "nothing ran");
}

SIMT_TEST(errors_have_names) {
  expect_equal(strcmp(cudaGetErrorName(cudaErrorInsufficientDriver), "cudaErrorInsufficientDriver"), 0, "name");
  expect_equal(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory"), 0, "string");
  expect_equal(strcmp(cudaGetErrorName(static_cast<cudaError_t>(12345)), "unrecognized error code"), 0, "unknown");
}

}  // namespace
