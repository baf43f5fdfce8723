// Matrix products in float64 of the sizes that sk_attention has: out(i, j) = sum over k of a(i, k) b(j, k). Operands are read by strides,
// so that they may be float32 or transposed. There are few outputs, so a block makes only 16 x 16 of them, its four groups of lanes each
// taking a quarter of the sum; a long sum is also cut into parts, which whoever reads them adds up in order.
#pragma once

#include "cuda/chunk.h"
#include "cuda/simt/simt.h"

namespace sknet::cuda {

constexpr int kProductTile = 16, kProductDepth = 64, kProductLanes = 256, kProductGroups = 4;
constexpr int kPartDepth = 128;

// A matrix as it lies: element (row, k) at row * row_stride + k * k_stride.
template <class T>
struct Matrix {
  const T* p;
  int64_t row_stride, k_stride;
};

struct ProductShared {
  union {
    double tiles[2][kProductDepth][kProductTile + 1];
    double groups[kProductGroups][kProductTile * kProductTile];
  };
};

// What a lane brings of one tile after the other. Lanes go along what is contiguous, and have four numbers each.
template <class T>
struct TileLane {
  static constexpr int kEach = kProductTile * kProductDepth / kProductLanes;
  const T* from;
  int64_t apart, advance;  // elements between a lane's numbers, and between tiles
  int row, k, row_apart, k_apart;
  T v[kEach];

  __device__ __forceinline__ TileLane(const Matrix<T>& a, int row0, int k0) {
    const int t = static_cast<int>(threadIdx.x);
    const bool along_k = a.k_stride == 1;
    row = along_k ? t / kProductDepth : t % kProductTile;
    k = along_k ? t % kProductDepth : t / kProductTile;
    row_apart = along_k ? kProductLanes / kProductDepth : 0;
    k_apart = along_k ? 0 : kProductLanes / kProductTile;
    apart = row_apart * a.row_stride + k_apart * a.k_stride;
    advance = kProductDepth * a.k_stride;
    from = a.p + (row0 + row) * a.row_stride + (k0 + k) * a.k_stride;
  }
  // Zeros from the first `rows` and `depth` on, both counted from where the tile begins.
  __device__ __forceinline__ void fetch(int rows, int depth) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) v[i] = row + i * row_apart < rows && k + i * k_apart < depth ? from[i * apart] : T{0};
    from += advance;
  }
  __device__ __forceinline__ void leave(double (&tile)[kProductDepth][kProductTile + 1]) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) tile[k + i * k_apart][row + i * row_apart] = static_cast<double>(v[i]);
  }
};

// The sum over k0 <= k < k_end for row0 + threadIdx.x / 16, col0 + threadIdx.x % 16, whichever of these there are.
template <class A, class B>
__device__ __forceinline__ double product_tile(const Matrix<A>& a, const Matrix<B>& b, int row0, int rows, int col0, int cols, int k0,
                                               int k_end, ProductShared& shared) {
  const int t = static_cast<int>(threadIdx.x), group = t / 64, row = t % 64 / 8, col = t % 8;
  TileLane<A> of_a(a, row0, k0);
  TileLane<B> of_b(b, col0, k0);
  of_a.fetch(rows - row0, k_end - k0);
  of_b.fetch(cols - col0, k_end - k0);
  double sums[2][2] = {};
  for (int at = k0; at < k_end; at += kProductDepth) {
    of_a.leave(shared.tiles[0]);
    of_b.leave(shared.tiles[1]);
    __syncthreads();
    const int depth = min(kProductDepth, k_end - at);
    of_a.fetch(rows - row0, k_end - at - kProductDepth);
    of_b.fetch(cols - col0, k_end - at - kProductDepth);
#pragma unroll 4
    for (int k = group; k < depth; k += kProductGroups) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 2; ++j) sums[i][j] += shared.tiles[0][k][row + 8 * i] * shared.tiles[1][k][col + 8 * j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) shared.groups[group][(row + 8 * i) * kProductTile + col + 8 * j] = sums[i][j];
  }
  __syncthreads();
  double sum = 0;
#pragma unroll
  for (int g = 0; g < kProductGroups; ++g) sum += shared.groups[g][t];
  __syncthreads();
  return sum;
}

inline int parts_of(int depth) { return ceil_div(depth, kPartDepth); }

// A product and where it goes; the parts of a cut sum one behind the other.
template <class A, class B, class Out>
struct Product {
  Matrix<A> a;
  Matrix<B> b;
  Out* out;
  int64_t row_stride, part_stride;
  int rows, cols, depth, part_depth;

  __host__ __device__ int col_tiles() const { return ceil_div(cols, kProductTile); }
  __host__ __device__ int tiles() const { return ceil_div(rows, kProductTile) * col_tiles(); }
  __host__ __device__ int blocks() const { return tiles() * ceil_div(depth, part_depth); }
  __device__ __forceinline__ void make(int block, ProductShared& shared) const {
    const int part = block / tiles(), tile = block % tiles();
    const int row0 = tile / col_tiles() * kProductTile, col0 = tile % col_tiles() * kProductTile, k0 = part * part_depth;
    const double sum = product_tile(a, b, row0, rows, col0, cols, k0, min(depth, k0 + part_depth), shared);
    const int row = row0 + static_cast<int>(threadIdx.x) / kProductTile, col = col0 + static_cast<int>(threadIdx.x) % kProductTile;
    if (row < rows && col < cols) out[part * part_stride + row * row_stride + col] = static_cast<Out>(sum);
  }
};

template <class First>
__global__ void __launch_bounds__(kProductLanes, 3) product(First first) {
  SIMT_SHARED(ProductShared, shared);
  first.make(static_cast<int>(blockIdx.x), shared);
}

// Two that do not wait for each other.
template <class First, class Second>
__global__ void __launch_bounds__(kProductLanes, 3) products(First first, Second second) {
  SIMT_SHARED(ProductShared, shared);
  const int block = static_cast<int>(blockIdx.x);
  if (block < first.blocks()) {
    first.make(block, shared);
  } else {
    second.make(block - first.blocks(), shared);
  }
}

template <class First>
void launch_product(const First& first, void* stream) {
  SIMT_LAUNCH((product<First>), first.blocks(), kProductLanes, 0, stream, first);
}

template <class First, class Second>
void launch_products(const First& first, const Second& second, void* stream) {
  SIMT_LAUNCH((products<First, Second>), first.blocks() + second.blocks(), kProductLanes, 0, stream, first, second);
}

}  // namespace sknet::cuda
