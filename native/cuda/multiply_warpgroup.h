// multiply.h's interface on the tensor cores of compute capability 9.0: two warpgroups, each 64 rows by kCols columns, that read bfloat16
// operands from shared memory. Steps are 64 numbers of the summed dimension; tiles are swizzled as simt/warpgroup.h says.
#pragma once

#include "cuda/multiply.h"
#include "cuda/simt/warpgroup.h"

namespace sknet::cuda {

template <int kCols>
struct WarpgroupMultiply {
  using Type = bf16;
  static constexpr int kStepBytes = 128, kStep = 64;
  static constexpr int kBlock = kStep * 128;  // across: bytes of 64 channels
  static constexpr int kAtom = 1024, kDepth = 16;
  static constexpr int along_bytes(int rows) { return rows * kStepBytes; }
  static constexpr int across_bytes(int cols) { return cols / 64 * kBlock; }
  __device__ __forceinline__ static constexpr int along_at(int row, int chunk) { return row * kStepBytes + ((chunk ^ (row & 7)) << 4); }
  __device__ __forceinline__ static constexpr int across_at(int k, int chunk, int) {
    return (chunk >> 3) * kBlock + k * 128 + (((chunk ^ k) & 7) << 4);
  }
  static constexpr bool kAsync = true;
  static constexpr int kSlices = 1, kSliceRows = kTileRows;

  float sum[kCols / 2] = {};

  __device__ __forceinline__ static void show() { show_to_warpgroups(); }
  __device__ __forceinline__ void settle() { warpgroup_wait<0>(sum); }

  __device__ __forceinline__ static int group() { return static_cast<int>(threadIdx.x) >> 7; }

  __device__ __forceinline__ void along(const char* rows, const char* cols) {
    const SharedMatrix a = shared_matrix(rows + group() * along_bytes(64), 16, kAtom), b = shared_matrix(cols, 16, kAtom);
    warpgroup_begin();
#pragma unroll
    for (int k = 0; k < kStep; k += kDepth) warpgroup_multiply<false>(sum, moved(a, k * 2), moved(b, k * 2));
    warpgroup_commit();
  }
  __device__ __forceinline__ void across(const char* rows, const char* cols) {
    const SharedMatrix a = shared_matrix(rows + group() * kBlock, kBlock, kAtom), b = shared_matrix(cols, kBlock, kAtom);
    warpgroup_begin();
#pragma unroll
    for (int k = 0; k < kStep; k += kDepth) warpgroup_multiply<true>(sum, moved(a, k * 128), moved(b, k * 128));
    warpgroup_commit();
  }
  template <class F>
  __device__ __forceinline__ void slice(int, const F& f) const {
    const int lane = static_cast<int>(threadIdx.x) & 31, row = (static_cast<int>(threadIdx.x) >> 5) * 16 + (lane >> 2),
              col = (lane & 3) * 2;
#pragma unroll
    for (int j = 0; j < kCols / 8; ++j) {
      f(row, col + j * 8, sum[4 * j], sum[4 * j + 1]);
      f(row + 8, col + j * 8, sum[4 * j + 2], sum[4 * j + 3]);
    }
  }
  __device__ __forceinline__ static int slice_row(int, int row) { return row; }
};

}  // namespace sknet::cuda
