#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "cuda/handles.h"
#include "cuda/launch.h"
#include "cuda/multiply_warpgroup.h"
#include "cuda/simt/runtime.h"
#include "cuda/warpgroups.h"

namespace sknet::cuda {
namespace {

constexpr int kCols = 128, kDepth = WarpgroupMultiply<kCols>::kStep;

// Small whole numbers, so that sums are exact, and no two rows or columns alike.
__host__ __device__ inline int left(int m, int k) { return (m * 5 + k * 3 + m * k) % 7 - 3; }
__host__ __device__ inline int right(int k, int n) { return (n * 3 + k * 5 + n * n * k) % 5 - 2; }

// sums [along, across][kTileRows][kCols]
__global__ void __launch_bounds__(kLanes) try_products(float* sums) {
  using Product = WarpgroupMultiply<kCols>;
  SIMT_DYN_SHARED(char, shared);
  char* const cols = shared + Product::along_bytes(kTileRows);
  const int t = static_cast<int>(threadIdx.x);
  for (int across = 0; across < 2; ++across) {
    __syncthreads();
    const auto place = [&](int i, int k, int size) {
      const int at = across != 0 ? Product::across_at(k, i / 8, size) : Product::along_at(i, k / 8);
      return at + (across != 0 ? i : k) % 8 * 2;
    };
    for (int e = t; e < kTileRows * kDepth; e += kLanes) {
      const int m = e / kDepth, k = e % kDepth;
      *reinterpret_cast<bf16*>(shared + place(m, k, kTileRows)) = to_bf(static_cast<float>(left(m, k)));
    }
    for (int e = t; e < kCols * kDepth; e += kLanes) {
      const int n = e / kDepth, k = e % kDepth;
      *reinterpret_cast<bf16*>(cols + place(n, k, kCols)) = to_bf(static_cast<float>(right(k, n)));
    }
    Product::show();
    __syncthreads();
    Product product;
    if (across != 0) {
      product.across(shared, cols);
    } else {
      product.along(shared, cols);
    }
    product.settle();
    float* to = sums + across * kTileRows * kCols;
    product.slice(0, [&](int row, int col, float a, float b) {
      to[row * kCols + col] = a;
      to[row * kCols + col + 1] = b;
    });
  }
}

const char* try_device() {
  constexpr int kSums = 2 * kTileRows * kCols, kShared = WarpgroupMultiply<kCols>::along_bytes(kTileRows + kCols);
  const Stream stream = make_stream();
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, kSums * sizeof(float)), "allocating memory");
  const DeviceMemory sums(static_cast<char*>(memory));
  check_cuda(cudaMemsetAsync(memory, 0xff, kSums * sizeof(float), stream.get()), "clearing memory");
  allow_shared(try_products, kShared);
  SIMT_LAUNCH(try_products, 1, kLanes, kShared, stream.get(), static_cast<float*>(memory));
  std::vector<float> got(kSums);
  check_cuda(cudaMemcpyAsync(got.data(), memory, kSums * sizeof(float), cudaMemcpyDeviceToHost, stream.get()), "reading from the device");
  check_cuda(cudaStreamSynchronize(stream.get()), "trying the tensor cores");
  for (int i = 0; i < kSums; ++i) {
    const int m = i / kCols % kTileRows, n = i % kCols;
    int expected = 0;
    for (int k = 0; k < kDepth; ++k) expected += left(m, k) * right(k, n);
    if (got[static_cast<size_t>(i)] != static_cast<float>(expected)) return "a trial of the tensor cores came out wrong";
  }
  return nullptr;
}

}  // namespace

const char* warpgroups_refused() {
  if (const char* text = std::getenv("SKNET_CUDA_WARPGROUPS"); text != nullptr && std::strcmp(text, "0") == 0) {
    return "SKNET_CUDA_WARPGROUPS=0";
  }
  int device = 0, major = 0, minor = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking for the device");
  if (major != 9 || minor != 0) return "the device is not of compute capability 9.0";
  static std::mutex mutex;
  static std::map<int, const char*> tried;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = tried.find(device);
  return found != tried.end() ? found->second : tried[device] = try_device();
}

}  // namespace sknet::cuda
