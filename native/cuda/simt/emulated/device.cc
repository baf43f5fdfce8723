// Errors, driver and device of the emulated runtime.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/simt/emulated/runtime_state.h"

namespace simt {
namespace {

constexpr int kRuntimeVersion = 13000, kOldDriver = 11040;
constexpr int kSharedBytes = 48 * 1024, kMostSharedBytes = 227 * 1024;

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

void read_environment(Runtime& r) {
  if (const char* driver = getenv("SKNET_SIMT_DRIVER")) {
    if (strcmp(driver, "none") == 0) r.device.driver_version = 0;
    if (strcmp(driver, "old") == 0) r.device.driver_version = kOldDriver;
    if (strcmp(driver, "no-device") == 0) r.device.count = 0;
  }
  if (const char* bytes = getenv("SKNET_SIMT_MEMORY")) r.device.bytes = strtoull(bytes, nullptr, 10);
  if (const char* capability = getenv("SKNET_SIMT_CAPABILITY")) sscanf(capability, "%d.%d", &r.device.major, &r.device.minor);
  if (const char* failure = getenv("SKNET_SIMT_FAIL")) {
    char call[64];
    int error = 0, after = 0;
    if (sscanf(failure, "%63[^:]:%d:%d", call, &error, &after) >= 2) r.failures[call] = {static_cast<cudaError_t>(error), after};
  }
}

const char* const* words_of(cudaError_t error) {
  static const struct {
    cudaError_t error;
    const char* words[2];
  } kTable[] = {
      {cudaSuccess, {"cudaSuccess", "no error"}},
      {cudaErrorInvalidValue, {"cudaErrorInvalidValue", "invalid argument"}},
      {cudaErrorMemoryAllocation, {"cudaErrorMemoryAllocation", "out of memory"}},
      {cudaErrorInitializationError, {"cudaErrorInitializationError", "initialization error"}},
      {cudaErrorInvalidConfiguration, {"cudaErrorInvalidConfiguration", "invalid configuration argument"}},
      {cudaErrorInvalidMemcpyDirection, {"cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"}},
      {cudaErrorInsufficientDriver, {"cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"}},
      {cudaErrorDevicesUnavailable, {"cudaErrorDevicesUnavailable", "CUDA-capable device(s) is/are busy or unavailable"}},
      {cudaErrorInvalidDeviceFunction, {"cudaErrorInvalidDeviceFunction", "invalid device function"}},
      {cudaErrorNoDevice, {"cudaErrorNoDevice", "no CUDA-capable device is detected"}},
      {cudaErrorInvalidDevice, {"cudaErrorInvalidDevice", "invalid device ordinal"}},
      {cudaErrorNoKernelImageForDevice, {"cudaErrorNoKernelImageForDevice", "no kernel image is available for execution on the device"}},
      {cudaErrorECCUncorrectable, {"cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"}},
      {cudaErrorInvalidResourceHandle, {"cudaErrorInvalidResourceHandle", "invalid resource handle"}},
      {cudaErrorNotReady, {"cudaErrorNotReady", "device not ready"}},
      {cudaErrorIllegalAddress, {"cudaErrorIllegalAddress", "an illegal memory access was encountered"}},
      {cudaErrorLaunchOutOfResources, {"cudaErrorLaunchOutOfResources", "too many resources requested for launch"}},
      {cudaErrorLaunchFailure, {"cudaErrorLaunchFailure", "unspecified launch failure"}},
      {cudaErrorNotPermitted, {"cudaErrorNotPermitted", "operation not permitted"}},
      {cudaErrorNotSupported, {"cudaErrorNotSupported", "operation not supported"}},
      {cudaErrorSystemDriverMismatch, {"cudaErrorSystemDriverMismatch", "system has unsupported display driver / cuda driver combination"}},
      {cudaErrorStreamCaptureUnsupported, {"cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"}},
      {cudaErrorStreamCaptureInvalidated, {"cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"}},
      {cudaErrorStreamCaptureMerge, {"cudaErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences"}},
      {cudaErrorStreamCaptureUnmatched, {"cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"}},
      {cudaErrorStreamCaptureUnjoined, {"cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"}},
      {cudaErrorStreamCaptureIsolation, {"cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"}},
      {cudaErrorStreamCaptureImplicit,
       {"cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream"}},
      {cudaErrorCapturedEvent, {"cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"}},
      {cudaErrorUnknown, {"cudaErrorUnknown", "unknown error"}},
  };
  for (const auto& row : kTable) {
    if (row.error == error) return row.words;
  }
  static const char* const kUnrecognized[2] = {"unrecognized error code", "unrecognized error code"};
  return kUnrecognized;
}

}  // namespace

thread_local bool in_host_function = false;

Runtime& runtime() {
  // Never destroyed: handles may be released after static destruction.
  static Runtime* const r = [] {
    Runtime* made = new Runtime;
    read_environment(*made);
    return made;
  }();
  return *r;
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

cudaError_t begin_call(Runtime& r, const char* name, bool unsafe) {
  if (in_host_function) return cudaErrorNotPermitted;
  if (r.device.driver_version < kRuntimeVersion) return cudaErrorInsufficientDriver;
  if (r.device.count == 0) return cudaErrorNoDevice;
  if (auto failure = r.failures.find(name); failure != r.failures.end() && failure->second.second-- == 0) {
    const cudaError_t error = failure->second.first;
    r.failures.erase(failure);
    // These the driver does not recover from.
    if (error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorECCUncorrectable) r.broken = error;
    return error;
  }
  if (r.broken != cudaSuccess) return r.broken;
  if (!unsafe) return cudaSuccess;
  for (const auto& capture : r.captures) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id()) continue;
    capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return cudaSuccess;
}

DeviceSettings device_settings() {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return r.device;
}

void set_device_settings(const DeviceSettings& settings) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  r.device = settings;
}

void fail_call(const std::string& name, int error, int after) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  r.failures[name] = {static_cast<cudaError_t>(error), after};
}

void repair_device() {
  Runtime& r = runtime();
  Lock lock(r.mutex);
  finish_all(r, lock, false);  // what is left is dropped where the device is broken
  r.broken = cudaSuccess;
  r.failures.clear();
  last_error = cudaSuccess;
}

size_t device_bytes_in_use() {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return r.device_bytes;
}

}  // namespace simt

using simt::begin_call;
using simt::Lock;
using simt::result;
using simt::runtime;
using simt::Runtime;

cudaError_t cudaPeekAtLastError() {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  return r.broken != cudaSuccess ? r.broken : simt::last_error;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  simt::last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) { return simt::words_of(error)[0]; }
const char* cudaGetErrorString(cudaError_t error) { return simt::words_of(error)[1]; }

cudaError_t cudaDriverGetVersion(int* version) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  *version = r.device.driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = simt::kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  *count = 0;
  if (const cudaError_t error = begin_call(r, "cudaGetDeviceCount"); error != cudaSuccess) return result(error);
  *count = r.device.count;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaSetDevice"); error != cudaSuccess) return result(error);
  if (device < 0 || device >= r.device.count) return result(cudaErrorInvalidDevice);
  simt::current_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaGetDevice"); error != cudaSuccess) return result(error);
  *device = simt::current_device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaGetDeviceProperties"); error != cudaSuccess) return result(error);
  if (device < 0 || device >= r.device.count) return result(cudaErrorInvalidDevice);
  *properties = {};
  snprintf(properties->name, sizeof(properties->name), "emulated device %d", device);
  properties->uuid.bytes[15] = static_cast<char>(device);
  properties->totalGlobalMem = r.device.bytes;
  properties->sharedMemPerBlock = simt::kSharedBytes;
  properties->sharedMemPerBlockOptin = properties->sharedMemPerMultiprocessor = simt::kMostSharedBytes;
  properties->major = r.device.major;
  properties->minor = r.device.minor;
  properties->multiProcessorCount = 4;
  properties->maxThreadsPerBlock = 1024;
  properties->warpSize = 32;
  properties->regsPerBlock = 65536;
  properties->l2CacheSize = 1 << 20;
  properties->memoryBusWidth = 64;
  properties->pciBusID = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  {
    Runtime& r = runtime();
    const Lock lock(r.mutex);
    if (const cudaError_t error = begin_call(r, "cudaDeviceGetAttribute"); error != cudaSuccess) return result(error);
  }
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device); error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = properties.warpSize;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = properties.l2CacheSize;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
  }
  return result(cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaFuncSetAttribute"); error != cudaSuccess) return result(error);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (value < 0 || value > simt::kMostSharedBytes) return result(cudaErrorInvalidValue);
  r.dynamic_limit[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int lanes, size_t dynamic_bytes) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (const cudaError_t error = begin_call(r, "cudaOccupancyMaxActiveBlocksPerMultiprocessor"); error != cudaSuccess) return result(error);
  if (lanes < 1) return result(cudaErrorInvalidValue);
  *blocks = std::min(2048 / lanes, static_cast<int>(simt::kMostSharedBytes / std::max<size_t>(dynamic_bytes, 1024)));
  return cudaSuccess;
}
