#include "cuda/tuning/environment.h"

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "cuda/runtime_check.h"
#include "cuda/simt/runtime.h"
#include "vendor/cublas/cublaslt.h"
#include "vendor/cudnn/cudnn.h"

namespace sknet::cuda {

namespace {

// The kernel module's release, which the runtime does not tell; empty where there is none.
std::string driver_release() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  for (char& c : line) {
    if (c == '\t') c = ' ';
  }
  return line;
}

std::string version_of(const LibraryReport& library) {
  return "; " + library.name + " " + (library.reason.empty() ? library.version : "unused");
}

// What decides which candidates accept.
std::string setting(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : std::string("; ") + variable + "=" + value;
}

}  // namespace

std::string tuning_environment() {
  int device = 0, driver = 0, runtime = 0;
  cudaDeviceProp p{};
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaGetDeviceProperties(&p, device), "asking for the device");
  check_cuda(cudaDriverGetVersion(&driver), "asking for the driver");
  check_cuda(cudaRuntimeGetVersion(&runtime), "asking for the driver");
  return std::string("sknet ") + SKNET_VERSION + "; " + p.name + "; compute capability " + std::to_string(p.major) + "." +
         std::to_string(p.minor) + "; " + std::to_string(p.multiProcessorCount) + " processors; CUDA " + std::to_string(driver) + ", " +
         std::to_string(runtime) + "; " + driver_release() + version_of(vendor::cublas::report()) + version_of(vendor::cudnn::report()) +
         setting("SKNET_CUDA_WARPGROUPS");
}

bool times_candidates() {
  const char* text = std::getenv("SKNET_CUDA_TIMING");
  if (text != nullptr && std::strcmp(text, "0") == 0) return false;
  if (text != nullptr && std::strcmp(text, "1") == 0) return true;
#ifdef SKNET_CUDA_EMULATED
  return false;
#else
  return true;
#endif
}

}  // namespace sknet::cuda
