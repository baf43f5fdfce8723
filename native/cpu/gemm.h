// The matrix product behind every dense convolution and linear layer, on blocked operands (ops/layout.h):
//   gemm_pixels:  y[pixel, out] = sum over k of x[pixel, k] w[k, out], w packed beforehand; what happens to y is the caller's
//   gemm_reduce:  dw[k, out] = sum over pixels of x[pixel, k] dy[pixel, out]; the weight gradient
// x is [k / kLanes][pixel][kLanes]: the activation itself where it is read as it is, else a copy of a few hundred pixels in L2, made by a
// source (columns.h). Sums are cut into blocks of kDepth, which bounds the rounding error.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/tiles.h"

namespace sknet::cpu {
namespace {

constexpr int kDepthBlocks = 256 / kLanes;  // blocks of k that accumulators run over
constexpr int kPairLanes = 2 * kLanes;      // outputs a tile computes
constexpr int kMaxPixels = 224;             // of a piece: x's copy stays in L2
constexpr int64_t kPieceFloats = 160 * 1024;

// ---- weights, packed: [pair of output blocks][k][kPairLanes], zeros beyond the last output

constexpr int pairs_of(int out) { return ceil_div(out, kPairLanes); }
constexpr int64_t packed_size(int k, int out) { return static_cast<int64_t>(pairs_of(out)) * kPairLanes * k; }

// element(k, o) -> w[k][o], asked only for o < out.
template <class Element>
inline void pack_weights(ThreadPool& pool, int k, int out, float* packed, const Element& element) {
  constexpr int kRows = 256;
  const int parts = ceil_div(k, kRows);
  parallel_for(pool, static_cast<int64_t>(pairs_of(out)) * parts, [&](int64_t item, int) {
    const int pair = static_cast<int>(item / parts), k0 = static_cast<int>(item % parts) * kRows, k1 = min_of(k, k0 + kRows);
    float* dst = packed + static_cast<int64_t>(pair) * k * kPairLanes;
    for (int lane = 0; lane < kPairLanes; ++lane) {
      const int o = pair * kPairLanes + lane;
      for (int i = k0; i < k1; ++i) dst[static_cast<int64_t>(i) * kPairLanes + lane] = o < out ? element(i, o) : 0;
    }
  });
}

// ---- register tile: T pixels x V output blocks

// tile[v][t] (+)= sum over `blocks` blocks of k. x: first pixel; block_stride: floats between x's blocks.
template <int T, int V, bool ADD>
[[gnu::noinline]] inline void multiply_tile(const float* x, int64_t block_stride, int blocks, const float* w, float* tile) {
  Vec acc[V][T];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) acc[v][t] = Vec{};
  }
  for (int b = 0; b < blocks; ++b, x += block_stride) {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i, w += kPairLanes) {
      Vec wv[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) wv[v] = load(w + v * kLanes);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        const Vec xv = set1(x[t * kLanes + i]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[v][t] += xv * wv[v];
      }
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      float* at = tile + (v * T + t) * kLanes;
      store(at, ADD ? load(at) + acc[v][t] : acc[v][t]);
    }
  }
}

template <int T, int V>
SKNET_INLINE void multiply_depth(const float* x, int64_t block_stride, int blocks, const float* w, float* tile) {
  multiply_tile<T, V, false>(x, block_stride, min_of(blocks, kDepthBlocks), w, tile);
  for (int b = kDepthBlocks; b < blocks; b += kDepthBlocks) {
    multiply_tile<T, V, true>(x + b * block_stride, block_stride, min_of(blocks - b, kDepthBlocks),
                              w + static_cast<int64_t>(b) * kLanes * kPairLanes, tile);
  }
}

// ---- gemm_pixels

// How pixels are cut into pieces, and a piece's outputs into parts where pieces alone are too few for the threads.
struct PixelPlan {
  int images, pixels, blocks;  // of k
  int tile, piece, pieces;     // pixels a tile and a piece; pieces an image
  int pairs, parts, part_pairs;
  int64_t items() const { return static_cast<int64_t>(images) * pieces; }
};

inline PixelPlan plan_pixels(int images, int pixels, int blocks, int out) {
  PixelPlan p{};
  p.images = images;
  p.pixels = pixels;
  p.blocks = blocks;
  p.tile = tile_for(pixels);
  const int most = max_of(p.tile, static_cast<int>(min_of<int64_t>(kMaxPixels, kPieceFloats / (static_cast<int64_t>(blocks) * kLanes))));
  p.piece = ceil_div(ceil_div(pixels, ceil_div(pixels, most)), p.tile) * p.tile;
  p.pieces = ceil_div(pixels, p.piece);
  p.pairs = pairs_of(out);
  const int wanted = static_cast<int>(min_of<int64_t>(p.pairs, ceil_div<int64_t>(kMinItems, p.items())));
  p.part_pairs = ceil_div(p.pairs, wanted);
  p.parts = ceil_div(p.pairs, p.part_pairs);
  return p;
}

inline size_t pixels_scratch(const PixelPlan& p) {
  return sizeof(float) * static_cast<size_t>(p.blocks) * static_cast<size_t>(p.piece) * kLanes;
}

// source.direct(image, pixel): x's first block at that pixel, blocks source.block_stride floats apart; null: source.fill(image, pixel,
// count, dst) writes [blocks][count][kLanes]. epilogue.begin(item, image, block) -> state; state.tile(pixel, count, values) gets each
// tile's [count][kLanes] in order of the pixels; state.end() closes the piece. out: channels of y.
template <class Source, class Epilogue>
inline void gemm_pixels(const Exec& exec, const PixelPlan& p, int out, const float* packed, const Source& source,
                        const Epilogue& epilogue) {
  parallel_for(*exec.pool, p.items() * p.parts, [&](int64_t item, int thread) {
    const int64_t piece = item / p.parts;
    const int image = static_cast<int>(piece / p.pieces), first = static_cast<int>(piece % p.pieces) * p.piece;
    const int count = min_of(p.piece, p.pixels - first);
    const float* x = source.direct(image, first);
    int64_t block_stride = source.block_stride;
    if (x == nullptr) {
      float* copy = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
      source.fill(image, first, count, copy);
      x = copy;
      block_stride = static_cast<int64_t>(count) * kLanes;
    }
    const int pair0 = static_cast<int>(item % p.parts) * p.part_pairs, pair1 = min_of(p.pairs, pair0 + p.part_pairs);
    alignas(64) float tile[2 * kWidestTile * kLanes];
    for (int pair = pair0; pair < pair1; ++pair) {
      const float* w = packed + static_cast<int64_t>(pair) * p.blocks * kLanes * kPairLanes;
      const bool both = pair * kPairLanes + kLanes < out;
      auto low = epilogue.begin(piece, image, 2 * pair);
      auto high = epilogue.begin(piece, image, both ? 2 * pair + 1 : 2 * pair);
      for (int pixel = 0; pixel < count;) {
        const int size = tile_within(p.tile, count - pixel);
        with_tile(size, [&]<int T>() {
          if (both) {
            multiply_depth<T, 2>(x + pixel * kLanes, block_stride, p.blocks, w, tile);
          } else {
            multiply_depth<T, 1>(x + pixel * kLanes, block_stride, p.blocks, w, tile);
          }
        });
        low.tile(first + pixel, size, tile);
        if (both) high.tile(first + pixel, size, tile + size * kLanes);
        pixel += size;
      }
      low.end();
      if (both) high.end();
    }
  });
}

// ---- gemm_reduce

#if defined(__AVX512F__)
constexpr int kReduceRows = 8;  // of a block of k at once
#else
constexpr int kReduceRows = 4;
#endif
constexpr int kPartPairs = 64 / kLanes;  // pairs of output blocks whose dy is held together

struct ReducePlan {
  int images, pixels, blocks, piece, pieces;
  int pairs, parts, part_pairs, chunks, chunk_pieces;
};

inline ReducePlan plan_reduce(int images, int pixels, int blocks, int out) {
  ReducePlan p{};
  p.images = images;
  p.pixels = pixels;
  p.blocks = blocks;
  const int most = max_of(1, static_cast<int>(min_of<int64_t>(kMaxPixels, kPieceFloats / (static_cast<int64_t>(blocks) * kLanes))));
  p.piece = ceil_div(pixels, ceil_div(pixels, max_of(most, 32)));
  p.pieces = ceil_div(pixels, p.piece);
  p.pairs = pairs_of(out);
  p.part_pairs = min_of(p.pairs, kPartPairs);
  p.parts = ceil_div(p.pairs, p.part_pairs);
  const int all = images * p.pieces;
  p.chunk_pieces = ceil_div(all, min_of(all, ceil_div(kMinItems, p.parts)));
  p.chunks = ceil_div(all, p.chunk_pieces);
  return p;
}

inline size_t reduce_workspace(const ReducePlan& p) {
  return sizeof(float) * static_cast<size_t>(p.chunks) * static_cast<size_t>(p.pairs) * kPairLanes * static_cast<size_t>(p.blocks) * kLanes;
}
inline size_t reduce_scratch(const ReducePlan& p) {
  return sizeof(float) * static_cast<size_t>(p.piece) * kLanes * static_cast<size_t>(p.blocks + 2 * p.part_pairs);
}

// dw[i][V] (+)= over `count` pixels, for kReduceRows of x's lanes. dy_stride: floats between dy's blocks.
template <int V>
SKNET_INLINE void reduce_tile(const float* x, const float* dy, int64_t dy_stride, int count, float* dw, bool add) {
  Vec acc[kReduceRows][V];
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[r][v] = add ? load(dw + r * kPairLanes + v * kLanes) : Vec{};
  }
  for (int p = 0; p < count; ++p) {
    Vec dv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) dv[v] = load(dy + v * dy_stride + p * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kReduceRows; ++r) {
      const Vec xv = set1(x[p * kLanes + r]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] += xv * dv[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(dw + r * kPairLanes + v * kLanes, acc[r][v]);
  }
}

// partial: reduce_workspace() bytes, filled with `chunks` packed weight gradients (as pack_weights packs) whose sum in chunk order is dw.
// Sources as in gemm_pixels; dy's has fill_blocks(image, pixel, count, first block, blocks, dst) instead of fill.
template <class Source, class Gradient>
inline void gemm_reduce(const Exec& exec, const ReducePlan& p, int out, float* partial, const Source& source, const Gradient& gradient) {
  const int64_t pair_floats = static_cast<int64_t>(p.blocks) * kLanes * kPairLanes;
  parallel_for(*exec.pool, static_cast<int64_t>(p.chunks) * p.parts, [&](int64_t item, int thread) {
    float* dy_copy = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    float* x_copy = dy_copy + static_cast<int64_t>(2 * p.part_pairs) * p.piece * kLanes;
    const int chunk = static_cast<int>(item / p.parts), pair0 = static_cast<int>(item % p.parts) * p.part_pairs;
    const int pair1 = min_of(p.pairs, pair0 + p.part_pairs), first_block = 2 * pair0;
    const int part_blocks = min_of(ceil_div(out, kLanes), 2 * pair1) - first_block;
    float* dw = partial + static_cast<int64_t>(chunk) * p.pairs * pair_floats;
    const int begin = chunk * p.chunk_pieces, end = min_of(p.images * p.pieces, begin + p.chunk_pieces);
    for (int piece = begin; piece < end; ++piece) {
      const int image = piece / p.pieces, first = piece % p.pieces * p.piece, count = min_of(p.piece, p.pixels - first);
      const float* dy = gradient.direct(image, first);
      int64_t dy_stride = gradient.block_stride;
      if (dy == nullptr) {
        gradient.fill_blocks(image, first, count, first_block, part_blocks, dy_copy);
        dy = dy_copy;
        dy_stride = static_cast<int64_t>(count) * kLanes;
      } else {
        dy += first_block * dy_stride;
      }
      const float* x = source.direct(image, first);
      int64_t x_stride = source.block_stride;
      if (x == nullptr) {
        source.fill(image, first, count, x_copy);
        x = x_copy;
        x_stride = static_cast<int64_t>(count) * kLanes;
      }
      for (int b = 0; b < p.blocks; ++b) {
        for (int pair = pair0; pair < pair1; ++pair) {
          float* tile = dw + pair * pair_floats + static_cast<int64_t>(b) * kLanes * kPairLanes;
          const float* d = dy + 2 * (pair - pair0) * dy_stride;
          const bool both = pair * kPairLanes + kLanes < out;
          for (int r = 0; r < kLanes; r += kReduceRows) {
            if (both) {
              reduce_tile<2>(x + b * x_stride + r, d, dy_stride, count, tile + r * kPairLanes, piece > begin);
            } else {
              reduce_tile<1>(x + b * x_stride + r, d, dy_stride, count, tile + r * kPairLanes, piece > begin);
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace sknet::cpu
