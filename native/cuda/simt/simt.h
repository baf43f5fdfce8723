// The one header of kernel sources (*.cu, *.cuh). nvcc compiles them for the device; g++ compiles the same files for the CPU, where a
// lane of a block is a fiber (emulated/block.h), so that every kernel is tested without a GPU.
//
// Language            __global__ __device__ __forceinline__ __launch_bounds__ threadIdx blockIdx blockDim gridDim dim3 uint2 uint4 float4
// ...
//   SIMT_LAUNCH(kernel, grid, block, dynamic_bytes, stream, args...)   template arguments with commas: (kernel<1, 2>)
//   SIMT_DYN_SHARED(T, name)              T* name: the launch's dynamic shared memory, 1024-byte aligned
//   SIMT_SHARED(float[4][16], name)       static shared memory, 16-byte aligned; emulated it is poisoned and bounded, __shared__ is not
// Block and warp      __syncthreads() __syncwarp(mask) named_barrier(id, lanes) named_barrier_arrive(id, lanes) __threadfence[_block]()
//   __shfl_sync __shfl_xor_sync __shfl_down_sync __shfl_up_sync (mask, value, lane, width) __ballot_sync __any_sync __all_sync (mask, bool)
// Memory              __ldg __ldcs __stcs; atomicAdd (int, unsigned, 64 bit, float, double) atomicMax atomicMin atomicExch atomicCAS
//   cp_async16/8/4(shared, global, wanted = true)   not wanted: fills with zeros
//   cp_async_commit()  cp_async_wait<N>()           until at most the N latest groups are under way; a barrier must follow
// Tensor cores        fragments as in the PTX ISA, a pair of elements a register, the first in the low half
//   ldmatrix_x1/x2/x4(r, row) ldmatrix_x1/x2/x4_trans(r, row)   lanes 8 i to 8 i + 7 give the rows of matrix i, 16-byte aligned
//   mma_16816(d, a, b) mma_1688(d, a, b)            d[4] += a b: bf16, fp32 sums; mma_16816_fp16, mma_1688_fp16: fp16
// Warpgroups          warpgroup.h
// Numbers             bf16 fp16 to_f to_bf to_fp16 pack_bf pack_fp16 (number.h); max_nan(a, b): a NaN wins; __fmul_rn __fadd_rn: apart
//
// Rules: no asm, no __CUDA_ARCH__, no dynamic parallelism or grid barrier; no return before a barrier; all lanes of a block reach the same
// __syncthreads; what lanes of a warp tell each other through memory needs __syncwarp; across blocks a second kernel, or atomics of
// integers (sums of floats would depend on the order).
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include "cuda/simt/device.h"
#else
#include "cuda/simt/emulated/builtins.h"
#include "cuda/simt/emulated/launch.h"
#include "cuda/simt/emulated/tensor.h"
#endif
