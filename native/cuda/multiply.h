// The multiplications of one step of a product's main loop, for 256 lanes: a tile of 128 rows by kCols columns in registers. bfloat16 on
// tensor cores, float32 on the ordinary ones.
#pragma once

#include "cuda/chunk.h"

namespace sknet::cuda {

constexpr int kLanes = 256, kTileRows = 128;

// Floats between the rows of a finished tile.
__host__ __device__ constexpr int slice_pitch(int cols) { return cols + 8; }

// How tiles of operands lie in shared memory. Along: a row of the tile is one of the product's rows or columns, a step of the summed
// dimension long. Across: it is one of the summed dimension, with kTileRows or kCols numbers.
template <class Elem>
struct PaddedTiles {
  using Type = Elem;
  static constexpr int kStepBytes = 64, kStep = kStepBytes / static_cast<int>(sizeof(Elem));  // of the summed dimension
  // So that the rows of an ldmatrix, or eight lanes' chunks, fall into different banks.
  static constexpr int kPitch = kStepBytes + 16;
  static constexpr int across_pitch(int cols) { return cols * static_cast<int>(sizeof(Elem)) + 16; }
  static constexpr int along_bytes(int rows) { return rows * kPitch; }
  static constexpr int across_bytes(int cols) { return kStep * across_pitch(cols); }
  // Where a chunk of 16 bytes lies; rows that are 8 apart lie equally far apart, whatever the row.
  __device__ __forceinline__ static constexpr int along_at(int row, int chunk) { return row * kPitch + chunk * 16; }
  __device__ __forceinline__ static constexpr int across_at(int k, int chunk, int cols) { return k * across_pitch(cols) + chunk * 16; }
  static constexpr bool kAsync = false;                                // along() and across() return before they are done: settle()
  static constexpr int kSlices = 2, kSliceRows = kTileRows / kSlices;  // a finished tile passes through shared memory in two halves
  __device__ __forceinline__ static void show() {}                     // what this lane brought is there for the product
  __device__ __forceinline__ void settle() {}
};

template <class Elem, int kCols>
struct Multiply;

// Warps 4 x 2, each 32 rows by kCols / 2 columns.
template <int kCols>
struct Multiply<bf16, kCols> : PaddedTiles<bf16> {
  static constexpr int kTiles = kCols / 16;  // of 8 columns, a warp
  float sum[2][kTiles][4] = {};

  __device__ __forceinline__ static int first_row() { return (static_cast<int>(threadIdx.x) >> 5 & 3) * 32; }
  __device__ __forceinline__ static int first_col() { return (static_cast<int>(threadIdx.x) >> 7) * (kCols / 2); }

  // Columns 16 j to 16 j + 15.
  __device__ __forceinline__ void multiply(const uint32_t (&a)[2][4], int j, const uint32_t (&b)[4]) {
    const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      mma_16816(sum[i][2 * j], a[i], left);
      mma_16816(sum[i][2 * j + 1], a[i], right);
    }
  }
  // Rows and columns of the result lie in memory with the summed dimension along them, kPitch bytes apart.
  __device__ __forceinline__ void along(const char* rows, const char* cols) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    const char* row = rows + (first_row() + (lane & 15)) * kPitch + (lane >> 4) * 16;
    const char* col = cols + (first_col() + (lane & 7) + (lane >> 4) * 8) * kPitch + (lane >> 3 & 1) * 16;
#pragma unroll
    for (int k = 0; k < kStepBytes; k += 32) {
      uint32_t a[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) ldmatrix_x4(a[i], row + i * 16 * kPitch + k);
#pragma unroll
      for (int j = 0; j < kTiles / 2; ++j) {
        uint32_t b[4];
        ldmatrix_x4(b, col + j * 16 * kPitch + k);
        multiply(a, j, b);
      }
    }
  }
  // The summed dimension goes across: [kStep][kTileRows] and [kStep][kCols], transposed_pitch() apart.
  __device__ __forceinline__ void across(const char* rows, const char* cols) {
    constexpr int kRowPitch = across_pitch(kTileRows), kColPitch = across_pitch(kCols);
    const int lane = static_cast<int>(threadIdx.x) & 31;
    const char* row = rows + ((lane & 7) + (lane >> 4) * 8) * kRowPitch + (first_row() + (lane >> 3 & 1) * 8) * 2;
    const char* col = cols + ((lane & 7) + (lane >> 3 & 1) * 8) * kColPitch + (first_col() + (lane >> 4) * 8) * 2;
#pragma unroll
    for (int k = 0; k < kStepBytes / 2; k += 16) {
      uint32_t a[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) ldmatrix_x4_trans(a[i], row + k * kRowPitch + i * 32);
#pragma unroll
      for (int j = 0; j < kTiles / 2; ++j) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, col + k * kColPitch + j * 32);
        multiply(a, j, b);
      }
    }
  }
  // f(row, col, two neighbouring sums) for those of the slice. Row of the tile: slice_row().
  template <class F>
  __device__ __forceinline__ void slice(int s, const F& f) const {
    const int lane = static_cast<int>(threadIdx.x) & 31, row = first_row() / 2 + (lane >> 2), col = first_col() + (lane & 3) * 2;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (i != s) continue;  // so that sum is indexed by constants
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        f(row, col + j * 8, sum[i][j][0], sum[i][j][1]);
        f(row + 8, col + j * 8, sum[i][j][2], sum[i][j][3]);
      }
    }
  }
  __device__ __forceinline__ static int slice_row(int s, int row) { return row / 16 * 32 + s * 16 + row % 16; }
};

// Lanes 16 x 16; lane (y, x) has the rows y + 16 i and the column pairs 2 x + 32 j.
template <int kCols>
struct Multiply<float, kCols> : PaddedTiles<float> {
  static constexpr int kPairs = kCols / 32;
  float sum[8][kPairs][2] = {};

  __device__ __forceinline__ static int y() { return static_cast<int>(threadIdx.x) / 16; }
  __device__ __forceinline__ static int x() { return static_cast<int>(threadIdx.x) % 16; }

  __device__ __forceinline__ void along(const char* rows, const char* cols) {
#pragma unroll 2
    for (int k = 0; k < kStepBytes; k += 16) {
      float b[kPairs][2][4];
#pragma unroll
      for (int j = 0; j < kPairs; ++j) {
        load_chunk(reinterpret_cast<const float*>(cols + (2 * x() + 32 * j) * kPitch + k), b[j][0]);
        load_chunk(reinterpret_cast<const float*>(cols + (2 * x() + 32 * j + 1) * kPitch + k), b[j][1]);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float a[4];
        load_chunk(reinterpret_cast<const float*>(rows + (y() + 16 * i) * kPitch + k), a);
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            sum[i][j][0] += a[q] * b[j][0][q];
            sum[i][j][1] += a[q] * b[j][1][q];
          }
        }
      }
    }
  }
  __device__ __forceinline__ void across(const char* rows, const char* cols) {
    constexpr int kRowPitch = across_pitch(kTileRows), kColPitch = across_pitch(kCols);
#pragma unroll 4
    for (int k = 0; k < kStepBytes / 4; ++k) {
      const float* row = reinterpret_cast<const float*>(rows + k * kRowPitch) + y();
      const float* col = reinterpret_cast<const float*>(cols + k * kColPitch) + 2 * x();
      float a[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) a[i] = row[16 * i];
#pragma unroll
      for (int j = 0; j < kPairs; ++j) {
        const float2 b = *reinterpret_cast<const float2*>(col + 32 * j);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          sum[i][j][0] += a[i] * b.x;
          sum[i][j][1] += a[i] * b.y;
        }
      }
    }
  }
  template <class F>
  __device__ __forceinline__ void slice(int s, const F& f) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i / 4 != s) continue;
#pragma unroll
      for (int j = 0; j < kPairs; ++j) f(y() + i % 4 * 16, 2 * x() + 32 * j, sum[i][j][0], sum[i][j][1]);
    }
  }
  __device__ __forceinline__ static int slice_row(int s, int row) { return s * kSliceRows + row; }
};

}  // namespace sknet::cuda
