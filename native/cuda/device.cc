#include "cuda/device.h"

#include <cstdio>
#include <string>

#include "core/error.h"
#include "cuda/runtime_check.h"

namespace sknet::cuda {

namespace {

constexpr int kOldestMajor = 8;  // cp.async, bfloat16 on tensor cores

template <size_t kSize>
void put(char (&to)[kSize], const std::string& text) {
  std::snprintf(to, kSize, "%s", text.c_str());
}

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// Why there is no device, after cudaGetDeviceCount said `error`.
std::string why_none(cudaError_t error, int driver, int runtime) {
  if (driver == 0) return "no NVIDIA driver is installed (or none that this container is given)";
  if (error == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old: it knows CUDA " + version_text(driver) + ", this build needs " + version_text(runtime);
  }
  if (error == cudaErrorNoDevice || error == cudaSuccess) return "the driver finds no device (CUDA_VISIBLE_DEVICES hides some)";
  return std::string("the driver fails: ") + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) + ")";
}

void describe(int index, plugin::DeviceData& to) {
  cudaDeviceProp p{};
  const cudaError_t error = cudaGetDeviceProperties(&p, index);
  if (error != cudaSuccess) return put(to.unusable, cudaGetErrorString(error));
  put(to.name, p.name);
  to.major = p.major;
  to.minor = p.minor;
  to.processors = p.multiProcessorCount;
  to.total_bytes = static_cast<int64_t>(p.totalGlobalMem);
  if (p.major < kOldestMajor) {
    put(to.unusable, "compute capability " + std::to_string(p.major) + "." + std::to_string(p.minor) + " is below " +
                         std::to_string(kOldestMajor) + ".0");
  }
}

Error refused(int device, const std::string& why, const std::string& expected) {
  const std::string name = "cuda:" + std::to_string(device);
  Error error("ERR_SKNET_DEVICE", "device " + name + ": " + why + "; use " + expected);
  error.with_option("device").with_got(name).with_expected(expected);
  return error;
}

}  // namespace

void list_devices(plugin::DevicesData* to) {
  *to = {};
  // Either may fail without a driver, which is no news.
  (void)cudaDriverGetVersion(&to->driver_version);
  (void)cudaRuntimeGetVersion(&to->runtime_version);
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (error != cudaSuccess || count == 0) return put(to->unusable, why_none(error, to->driver_version, to->runtime_version));
  to->count = count < plugin::kMaxDevices ? count : plugin::kMaxDevices;
  for (int i = 0; i < to->count; ++i) describe(i, to->devices[i]);
}

int use_device(int device) {
  plugin::DevicesData found;
  list_devices(&found);
  if (found.unusable[0] != '\0') throw refused(device, found.unusable, "the device cpu; sknet doctor tells what is there");
  if (device >= found.count) {
    throw refused(device, "there is no such device",
                  found.count == 1 ? "cuda:0, the only one" : "cuda:0 to cuda:" + std::to_string(found.count - 1));
  }
  if (found.devices[device].unusable[0] != '\0') throw refused(device, found.devices[device].unusable, "another device");
  check_cuda(cudaSetDevice(device), "choosing the device");
  return device;
}

}  // namespace sknet::cuda
