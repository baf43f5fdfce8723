// Mistakes that end the process, each in one of its own: what a device would answer with an illegal address, or not notice.
#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace simt_test;

__global__ void fill(int* out, int from) { out[from + static_cast<int>(threadIdx.x)] = 1; }

SIMT_CRASH(host_reads_device_memory) {
  Buffer<int> x(std::vector<int>(64));
  printf("%d\n", *static_cast<volatile int*>(x.device()));
}

SIMT_CRASH(kernel_writes_behind_an_allocation) {
  Buffer<int> x(64);
  SIMT_LAUNCH(fill, 1, 32, 0, nullptr, x.device(), 33);
}

SIMT_CRASH(kernel_uses_freed_memory) {
  int* p = nullptr;
  cudaMalloc(&p, 256);
  cudaFree(p);
  SIMT_LAUNCH(fill, 1, 32, 0, nullptr, p, 0);
}

#if defined(__SANITIZE_ADDRESS__)

__global__ void beyond_dynamic(int* out, int at) {
  SIMT_DYN_SHARED(int, x);
  x[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = x[static_cast<int>(threadIdx.x) + at];
}

SIMT_CRASH(kernel_reads_behind_dynamic_shared_memory) {
  Buffer<int> out(32);
  SIMT_LAUNCH(beyond_dynamic, 1, 32, 32 * sizeof(int), nullptr, out.device(), 1);
}

__global__ void beyond_static(int* out, int at) {
  SIMT_SHARED(int[32], x);
  x[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = (&x[0])[static_cast<int>(threadIdx.x) + at];
}

SIMT_CRASH(kernel_reads_behind_a_shared_array) {
  Buffer<int> out(32);
  SIMT_LAUNCH(beyond_static, 1, 32, 0, nullptr, out.device(), 1);
}

#endif

}  // namespace
