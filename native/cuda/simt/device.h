// simt.h as nvcc sees it: inline PTX and nothing else. sm_80 and later.
#pragma once

#include <cuda_runtime.h>

#include "cuda/simt/number.h"

namespace sknet::cuda {

template <class T>
using SharedType = T;

}  // namespace sknet::cuda

#define SIMT_SHARED(T, name) __shared__ __align__(16)::sknet::cuda::SharedType<T> name
#define SIMT_DYN_SHARED(T, name)                                         \
  extern __shared__ __align__(1024) unsigned char simt_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(simt_dynamic_shared)
#define SIMT_LAUNCH(kernel, grid, block, dynamic_bytes, stream, ...) \
  kernel<<<(grid), (block), (dynamic_bytes), static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)

namespace sknet::cuda {

__device__ __forceinline__ unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }

__device__ __forceinline__ void named_barrier(int id, int lanes) { asm volatile("bar.sync %0, %1;\n" ::"r"(id), "r"(lanes) : "memory"); }
__device__ __forceinline__ void named_barrier_arrive(int id, int lanes) {
  asm volatile("bar.arrive %0, %1;\n" ::"r"(id), "r"(lanes) : "memory");
}

__device__ __forceinline__ void cp_async16(void* shared, const void* global, bool wanted = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(wanted ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void cp_async8(void* shared, const void* global, bool wanted = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(wanted ? 8 : 0) : "memory");
}
__device__ __forceinline__ void cp_async4(void* shared, const void* global, bool wanted = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(wanted ? 4 : 0) : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

__device__ __forceinline__ void ldmatrix_x1(uint32_t (&r)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];\n" : "=r"(r[0]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x1_trans(uint32_t (&r)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];\n" : "=r"(r[0]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ __forceinline__ float max_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;\n" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

#define SIMT_MMA_K16(name, type)                                                                                                       \
  __device__ __forceinline__ void name(float(&d)[4], const uint32_t(&a)[4], const uint32_t(&b)[2]) {                                   \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                                  \
  }
#define SIMT_MMA_K8(name, type)                                                                                              \
  __device__ __forceinline__ void name(float(&d)[4], const uint32_t(&a)[2], const uint32_t(&b)[1]) {                         \
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32." type "." type ".f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));                                                                         \
  }
SIMT_MMA_K16(mma_16816, "bf16")
SIMT_MMA_K16(mma_16816_fp16, "f16")
SIMT_MMA_K8(mma_1688, "bf16")
SIMT_MMA_K8(mma_1688_fp16, "f16")
#undef SIMT_MMA_K16
#undef SIMT_MMA_K8

}  // namespace sknet::cuda
