#include "cuda/runtime_check.h"

#include <string>

#include "core/error.h"

namespace sknet::cuda {

namespace {

const char* next_step(cudaError_t error) {
  switch (error) {
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
      return "a newer NVIDIA driver, or the device cpu";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return "a device of compute capability 8.0 or later that this build has code for (SKNET_CUDA_ARCHITECTURES)";
    case cudaErrorDevicesUnavailable:
      return "a device that no other process holds exclusively";
    case cudaErrorECCUncorrectable:
      return "another device: this one's memory has failed";
    default:
      return "a new process, which resumes from the newest checkpoint, or the device cpu";
  }
}

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // it is told here; what cannot be cleared is told again by the next call
  const std::string name = std::string(cudaGetErrorName(error)) + " (" + cudaGetErrorString(error) + ")";
  if (error == cudaErrorMemoryAllocation) {
    throw Error("ERR_SKNET_OOM", std::string("CUDA, ") + what + ": " + name)
        .with_option("batchSize")
        .with_expected("a smaller batchSize or shardSize");
  }
  throw Error("ERR_SKNET_DEVICE", std::string("CUDA, ") + what + ": " + name + "; use " + next_step(error))
      .with_option("device")
      .with_got(name)
      .with_expected(next_step(error));
}

}  // namespace sknet::cuda
