// The one matrix product behind every dense convolution and linear layer, in two forms:
//   gemm_rows:    C[rows, n] (+)= A[rows, k] B[k, n], rows of A gathered (implicit im2col), B packed beforehand
//   gemm_reduce:  C[m, n] = sum over rows of A[row, m] B[row, n], both gathered; the weight gradient
// Both copy blocks of their operands into padded thread-local rows (no cache aliasing at power-of-two channel counts) and run a
// register tile over them. Sums are split into blocks of kDepth, which also bounds the rounding error.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

constexpr int kDepth = 256;              // block of the summed dimension
constexpr int kRowStride = kDepth + 16;  // floats between rows of a gathered block
constexpr int kTileCols = 2 * kLanes;
constexpr int kChunkTiles = 8;  // row tiles gathered at once: they share a panel of B while it is in L1

// ---- B, packed: blocks of kDepth rows; in a block, panels of kTileCols columns (the last may be kLanes wide), each [depth][width].

constexpr int64_t packed_cols(int n) { return ceil_div(n, kLanes) * static_cast<int64_t>(kLanes); }
constexpr int64_t packed_size(int k, int n) { return k * packed_cols(n); }

// element(k, j) -> B[k][j]. Parallel over panels.
template <class Element>
inline void pack_b(ThreadPool& pool, int k, int n, float* packed, const Element& element) {
  const int panels = ceil_div(n, kTileCols), blocks = ceil_div(k, kDepth);
  parallel_for(pool, static_cast<int64_t>(panels) * blocks, [&](int64_t item, int) {
    const int block = static_cast<int>(item / panels), panel = static_cast<int>(item % panels);
    const int k0 = block * kDepth, depth = min_of(kDepth, k - k0), j0 = panel * kTileCols;
    const int width = n - j0 > kLanes ? kTileCols : kLanes;
    float* dst = packed + k0 * packed_cols(n) + static_cast<int64_t>(j0) * depth;
    for (int j = 0; j < width; ++j) {
      if (j0 + j < n) {
        for (int i = 0; i < depth; ++i) dst[i * width + j] = element(k0 + i, j0 + j);
      } else {
        for (int i = 0; i < depth; ++i) dst[i * width + j] = 0;
      }
    }
  });
}

// ---- register tile of gemm_rows

template <int V>
SKNET_INLINE void store_tile(const Vec (&acc)[kTileRows][V], float* const* rows, int64_t col, int valid_rows, int valid_cols, bool add) {
  if (valid_rows == kTileRows && valid_cols == V * kLanes) {
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      float* y = rows[r] + col;
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) store(y + v * kLanes, add ? load(y + v * kLanes) + acc[r][v] : acc[r][v]);
    }
    return;
  }
  float spill[kTileRows][V * kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(&spill[r][v * kLanes], acc[r][v]);
  }
  for (int r = 0; r < valid_rows; ++r) {
    float* y = rows[r] + col;
    for (int j = 0; j < valid_cols; ++j) y[j] = add ? y[j] + spill[r][j] : spill[r][j];
  }
}

// a: [kTileRows][kRowStride], b: [depth][V * kLanes], bias: [valid_cols] or null.
template <int V>
SKNET_INLINE void tile_rows(int depth, const float* a, const float* b, const float* bias, float* const* rows, int64_t col, int valid_rows,
                            int valid_cols, bool add) {
  Vec acc[kTileRows][V];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[r][v] = bias == nullptr ? Vec{} : load_part(bias + v * kLanes, valid_cols - v * kLanes);
  }
  for (int k = 0; k < depth; ++k) {
    Vec bv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) bv[v] = load(b + static_cast<int64_t>(k) * V * kLanes + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const Vec av = set1(a[r * kRowStride + k]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] += av * bv[v];
    }
  }
  store_tile<V>(acc, rows, col, valid_rows, valid_cols, add);
}

constexpr size_t gemm_rows_scratch() { return sizeof(float) * kChunkTiles * kTileRows * kRowStride; }

// gather(row, k0, count, dst): A[row][k0 .. k0 + count). target(row): where C's row starts; bias [n] or null.
template <class Gather, class Target>
inline void gemm_rows(const Exec& exec, int64_t rows, int k, int n, const float* packed, const float* bias, bool accumulate,
                      const Gather& gather, const Target& target) {
  const int64_t tiles = ceil_div<int64_t>(rows, kTileRows);
  const int chunk_tiles = static_cast<int>(min_of<int64_t>(kChunkTiles, ceil_div<int64_t>(tiles, kMinItems)));
  const int64_t chunks = ceil_div<int64_t>(tiles, chunk_tiles);
  const int panels = ceil_div(n, kTileCols);
  // Few rows (attention layers, batch 1): cut the columns too.
  const int col_parts = static_cast<int>(min_of<int64_t>(panels, ceil_div<int64_t>(kMinItems, chunks)));
  const int part_panels = ceil_div(panels, col_parts);
  parallel_for(*exec.pool, chunks * col_parts, [&](int64_t item, int thread) {
    float* block = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int64_t row0 = item / col_parts * chunk_tiles * kTileRows;
    const int chunk_rows = static_cast<int>(min_of<int64_t>(rows - row0, static_cast<int64_t>(chunk_tiles) * kTileRows));
    const int panel0 = static_cast<int>(item % col_parts) * part_panels, panel1 = min_of(panels, panel0 + part_panels);
    float* targets[kChunkTiles * kTileRows];
    for (int r = 0; r < chunk_rows; ++r) targets[r] = target(row0 + r);
    for (int k0 = 0; k0 < k; k0 += kDepth) {
      const int depth = min_of(kDepth, k - k0);
      for (int r = 0; r < chunk_rows; ++r) gather(row0 + r, k0, depth, block + r * kRowStride);
      const bool add = accumulate || k0 > 0;
      const float* init = k0 == 0 ? bias : nullptr;
      for (int panel = panel0; panel < panel1; ++panel) {
        const int col = panel * kTileCols, cols = min_of(kTileCols, n - col);
        const float* b = packed + k0 * packed_cols(n) + static_cast<int64_t>(col) * depth;
        for (int r = 0; r < chunk_rows; r += kTileRows) {
          const int valid = min_of(kTileRows, chunk_rows - r);
          const float* tile_bias = init == nullptr ? nullptr : init + col;
          if (cols > kLanes) {
            tile_rows<2>(depth, block + r * kRowStride, b, tile_bias, targets + r, col, valid, cols, add);
          } else {
            tile_rows<1>(depth, block + r * kRowStride, b, tile_bias, targets + r, col, valid, cols, add);
          }
        }
      }
    }
  });
}

// ---- gemm_reduce

constexpr int kReduceM = 112, kReduceN = 256;  // block of C
constexpr int kReduceStrideA = kReduceM + 32;  // also room for the last tile's overhang
constexpr int kReduceStrideB = kReduceN + kTileCols + 16;

struct ReducePlan {
  int m_blocks, m_size, n_blocks, n_size, chunks;
  int64_t chunk_rows;
};

// From the shape alone: determinism.
constexpr ReducePlan plan_reduce(int64_t rows, int m, int n) {
  ReducePlan p{};
  p.m_blocks = ceil_div(m, kReduceM);
  p.m_size = ceil_div(ceil_div(m, p.m_blocks), kReduceRows) * kReduceRows;
  p.n_blocks = ceil_div(n, kReduceN);
  p.n_size = ceil_div(ceil_div(n, p.n_blocks), kTileCols) * kTileCols;
  const int64_t depth_blocks = max_of<int64_t>(1, ceil_div<int64_t>(rows, kDepth));
  const int64_t wanted = ceil_div<int64_t>(kMinItems, static_cast<int64_t>(p.m_blocks) * p.n_blocks);
  p.chunk_rows = ceil_div(depth_blocks, min_of(depth_blocks, wanted)) * kDepth;
  p.chunks = static_cast<int>(max_of<int64_t>(1, ceil_div(rows, p.chunk_rows)));
  return p;
}

constexpr size_t gemm_reduce_scratch() { return sizeof(float) * kDepth * (kReduceStrideA + kReduceStrideB); }
constexpr size_t gemm_reduce_workspace(int64_t rows, int m, int n) {
  return sizeof(float) * static_cast<size_t>(plan_reduce(rows, m, n).chunks) * static_cast<size_t>(m) * static_cast<size_t>(n);
}

template <int V>
SKNET_INLINE void tile_reduce(int depth, const float* a, const float* b, float* c, int ldc, int valid_m, int valid_n, bool add) {
  Vec acc[kReduceRows][V];
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[r][v] = Vec{};
  }
  for (int k = 0; k < depth; ++k) {
    Vec bv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) bv[v] = load(b + k * kReduceStrideB + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kReduceRows; ++r) {
      const Vec av = set1(a[k * kReduceStrideA + r]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] += av * bv[v];
    }
  }
  float spill[kReduceRows][V * kLanes];
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(&spill[r][v * kLanes], acc[r][v]);
  }
  for (int r = 0; r < valid_m; ++r) {
    float* y = c + static_cast<int64_t>(r) * ldc;
    for (int j = 0; j < valid_n; ++j) y[j] = add ? y[j] + spill[r][j] : spill[r][j];
  }
}

// gather_a(row, m0, count, dst), gather_b(row, n0, count, dst). partial: gemm_reduce_workspace() bytes, filled with `chunks` matrices
// [m, n] whose sum in chunk order is C (gemm_reduce_sum).
template <class GatherA, class GatherB>
inline void gemm_reduce(const Exec& exec, int64_t rows, int m, int n, float* partial, const GatherA& gather_a, const GatherB& gather_b) {
  const ReducePlan p = plan_reduce(rows, m, n);
  const int items_per_chunk = p.m_blocks * p.n_blocks;
  parallel_for(*exec.pool, static_cast<int64_t>(p.chunks) * items_per_chunk, [&](int64_t item, int thread) {
    float* a = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    float* b = a + kDepth * kReduceStrideA;
    const int chunk = static_cast<int>(item / items_per_chunk), rest = static_cast<int>(item % items_per_chunk);
    const int m0 = rest / p.n_blocks * p.m_size, n0 = rest % p.n_blocks * p.n_size;
    const int mb = min_of(p.m_size, m - m0), nb = min_of(p.n_size, n - n0);
    if (mb <= 0 || nb <= 0) return;
    float* c = partial + static_cast<int64_t>(chunk) * m * n + static_cast<int64_t>(m0) * n + n0;
    const int64_t first = chunk * p.chunk_rows, last = min_of(rows, first + p.chunk_rows);
    for (int64_t row = first; row < last; row += kDepth) {
      const int depth = static_cast<int>(min_of<int64_t>(kDepth, last - row));
      for (int k = 0; k < depth; ++k) {
        gather_a(row + k, m0, mb, a + k * kReduceStrideA);
        gather_b(row + k, n0, nb, b + k * kReduceStrideB);
      }
      for (int j = 0; j < nb; j += kTileCols) {
        for (int i = 0; i < mb; i += kReduceRows) {
          float* tile = c + static_cast<int64_t>(i) * n + j;
          const int valid_m = min_of(kReduceRows, mb - i), valid_n = min_of(kTileCols, nb - j);
          if (valid_n > kLanes) {
            tile_reduce<2>(depth, a + i, b + j, tile, n, valid_m, valid_n, row > first);
          } else {
            tile_reduce<1>(depth, a + i, b + j, tile, n, valid_m, valid_n, row > first);
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace sknet::cpu
