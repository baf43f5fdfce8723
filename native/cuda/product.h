// Matrix products in float64 of the sizes that sk_attention has: out(i, j) = sum over k of a(i, k) b(j, k). Operands are read by strides,
// so that they may be float32 or transposed. A long sum is cut into parts, which whoever reads them adds up in order.
#pragma once

#include "cuda/simt/simt.h"

namespace sknet::cuda {

constexpr int kProductTile = 32, kProductDepth = 16, kProductLanes = 256;

constexpr int kPartDepth = 256;

// A matrix as it lies: element (row, k) at row * row_stride + k * k_stride.
template <class T>
struct Matrix {
  const T* p;
  int64_t row_stride, k_stride;
  __device__ __forceinline__ double operator()(int row, int k) const { return static_cast<double>(p[row * row_stride + k * k_stride]); }
};

// Where the product goes; the parts of a cut sum one behind the other.
template <class T>
struct Product {
  T* p;
  int64_t row_stride, part_stride;
};

// Lanes go along what is contiguous.
template <class T>
__device__ __forceinline__ void load_tile(const Matrix<T>& a, int row0, int rows, int k0, int k1,
                                          double (&tile)[kProductDepth][kProductTile + 1]) {
  const bool along_k = a.k_stride == 1;
  for (int i = static_cast<int>(threadIdx.x); i < kProductTile * kProductDepth; i += kProductLanes) {
    const int k = along_k ? i % kProductDepth : i / kProductTile, row = along_k ? i / kProductDepth : i % kProductTile;
    tile[k][row] = row0 + row < rows && k0 + k < k1 ? a(row0 + row, k0 + k) : 0.0;
  }
}

template <class A, class B, class Out>
__global__ void __launch_bounds__(kProductLanes)
    product(Matrix<A> a, Matrix<B> b, Product<Out> out, int rows, int cols, int depth, int part_depth) {
  SIMT_SHARED(double[kProductDepth][kProductTile + 1], tile_a);
  SIMT_SHARED(double[kProductDepth][kProductTile + 1], tile_b);
  const int t = static_cast<int>(threadIdx.x), row0 = static_cast<int>(blockIdx.y) * kProductTile,
            col0 = static_cast<int>(blockIdx.x) * kProductTile;
  // 2 x 2 sums a lane, 16 apart: neighbouring lanes write neighbouring columns.
  const int row = t / 16, col = t % 16, part = static_cast<int>(blockIdx.z);
  const int k_end = min(depth, (part + 1) * part_depth);
  double sums[2][2] = {};
  for (int k0 = part * part_depth; k0 < k_end; k0 += kProductDepth) {
    load_tile(a, row0, rows, k0, k_end, tile_a);
    load_tile(b, col0, cols, k0, k_end, tile_b);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kProductDepth; ++k) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 2; ++j) sums[i][j] += tile_a[k][row + 16 * i] * tile_b[k][col + 16 * j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int r = row0 + row + 16 * i, c = col0 + col + 16 * j;
      if (r < rows && c < cols) out.p[part * out.part_stride + r * out.row_stride + c] = static_cast<Out>(sums[i][j]);
    }
  }
}

inline int parts_of(int depth) { return (depth + kPartDepth - 1) / kPartDepth; }

// `cut`: into parts_of(depth) parts.
template <class A, class B, class Out>
void launch_product(const Matrix<A>& a, const Matrix<B>& b, const Product<Out>& out, int rows, int cols, int depth, bool cut,
                    void* stream) {
  const auto tiles = [](int size) { return static_cast<unsigned>((size + kProductTile - 1) / kProductTile); };
  const dim3 grid(tiles(cols), tiles(rows), cut ? static_cast<unsigned>(parts_of(depth)) : 1);
  SIMT_LAUNCH((product<A, B, Out>), grid, kProductLanes, 0, stream, a, b, out, rows, cols, depth, cut ? kPartDepth : depth);
}

}  // namespace sknet::cuda
