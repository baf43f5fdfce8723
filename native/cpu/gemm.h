// The matrix product behind every dense convolution and linear layer, on blocked operands (ops/layout.h):
//   gemm_pixels:  y[pixel, out] = sum over k of x[pixel, k] w[k, out], w packed beforehand; what happens to y is the caller's
//   gemm_reduce:  dw[k, out] = sum over pixels of x[pixel, k] dy[pixel, out]; the weight gradient
// x is [k / kLanes][pixel][kLanes]: the activation itself where it is read as it is, else a copy of a few hundred pixels in L2, made by a
// source (columns.h). Sums are cut into blocks of kDepth, which bounds the rounding error; those of AMX (gemm_amx.h) are not, as bfloat16
// operands are coarser by far.
#pragma once

#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/gemm_amx.h"
#include "cpu/square.h"
#include "cpu/tiles.h"

namespace sknet::cpu {
namespace {

#if !defined(__AMX_BF16__)
constexpr int kReduceGroup = kDot;  // pixels that a product of gemm_reduce sums over
constexpr int kRunPixels = 1;
#endif

constexpr int kDepthBlocks = 256 / kLanes;  // blocks of k that accumulators run over
constexpr int kPairLanes = 2 * kLanes;      // outputs a tile computes
constexpr int kMaxPixels = 224;             // of a piece: x's copy stays in L2
constexpr int64_t kPieceFloats = (kAmx ? 448 : 160) * 1024;

// Blocks of k that x and the weights are padded to.
constexpr int product_blocks(int blocks) { return kAmx ? ceil_div(blocks, 2) * 2 : blocks; }

// ---- weights, packed: [pair of output blocks][k / kDot][kPairLanes][kDot], zeros beyond the last output

constexpr int pairs_of(int out) { return ceil_div(out, kPairLanes); }
constexpr int64_t packed_size(int k, int out) { return static_cast<int64_t>(pairs_of(out)) * kPairLanes * k; }

// Calls f(pair, first k, last k) in parallel for parts of all pairs; a part is whole blocks.
template <class F>
inline void for_packed_parts(ThreadPool& pool, int k, int out, const F& f) {
  constexpr int kRows = 128;
  const int parts = ceil_div(k, kRows);
  parallel_for(pool, static_cast<int64_t>(pairs_of(out)) * parts, [&](int64_t item, int) {
    const int k0 = static_cast<int>(item % parts) * kRows;
    f(static_cast<int>(item / parts), k0, min_of(k, k0 + kRows));
  });
}

// From weight[index(k, o)], asked only for o < out; zero where the index is negative.
template <class Index>
inline void pack_weights(ThreadPool& pool, int k, int out, const float* weight, Operand* packed, const Index& index) {
  for_packed_parts(pool, k, out, [&](int pair, int k0, int k1) {
    Operand* dst = packed + static_cast<int64_t>(pair) * k * kPairLanes;
    for (int i = k0; i < k1; ++i) {
      Operand* row = dst + static_cast<int64_t>(i / kDot) * kPairLanes * kDot + i % kDot;
      for (int lane = 0; lane < kPairLanes; ++lane) {
        const int64_t at = pair * kPairLanes + lane < out ? index(i, pair * kPairLanes + lane) : -1;
        row[lane * kDot] = to_operand(at < 0 ? 0 : weight[at]);
      }
    }
  });
}

// The same from w[k][o] as it lies in memory, `rows` of it; zeros up to k.
inline void pack_rows(ThreadPool& pool, const float* w, int rows, int out, int k, Operand* packed) {
  for_packed_parts(pool, k, out, [&](int pair, int k0, int k1) {
    Operand* dst = packed + (static_cast<int64_t>(pair) * k + k0) * kPairLanes;
    for (int i = k0; i < k1; i += kDot) {
      for (int o = pair * kPairLanes; o < (pair + 1) * kPairLanes; o += kLanes, dst += kLanes * kDot) {
        Vec row[kDot];
        for (int d = 0; d < kDot; ++d) row[d] = i + d < rows ? load_part(w + static_cast<int64_t>(i + d) * out + o, out - o) : Vec{};
        store_dots(dst, row);
      }
    }
  });
}

// The same from w[o][k] as it lies in memory, `columns` of k, by squares that are transposed in registers.
inline void pack_columns(ThreadPool& pool, const float* w, int columns, int out, int k, Operand* packed) {
  for_packed_parts(pool, k, out, [&](int pair, int k0, int k1) {
    Operand* dst = packed + static_cast<int64_t>(pair) * k * kPairLanes;
    for (int i = k0; i < k1; i += kLanes) {
      for (int half = 0; half < 2; ++half) {
        const int o = pair * kPairLanes + half * kLanes;
        Vec square[kLanes];
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) {
          square[r] = o + r < out ? load_part(w + static_cast<int64_t>(o + r) * columns + i, columns - i) : Vec{};
        }
        transpose(square);
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; r += kDot) store_dots(dst + (i + r) * kPairLanes + half * kLanes * kDot, square + r);
      }
    }
  });
}

// ---- register tile: T pixels x V output blocks

// tile[v][t] (+)= sum over `blocks` blocks of k. x: first pixel; block_stride: elements between x's blocks.
template <int T, int V, bool ADD>
[[gnu::noinline]] inline void multiply_tile(const Operand* x, int64_t block_stride, int blocks, const Operand* w, float* tile) {
  Vec acc[V][T];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) acc[v][t] = Vec{};
  }
  for (int b = 0; b < blocks; ++b, x += block_stride) {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes / kDot; ++i, w += kPairLanes * kDot) {
      Vec wv[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) wv[v] = load_dot(w + v * kLanes * kDot);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        const Vec xv = broadcast_dot(x + t * kLanes, i);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[v][t] = multiply_dot(acc[v][t], xv, wv[v]);
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
SKNET_INLINE void multiply_depth(const Operand* x, int64_t block_stride, int blocks, const Operand* w, float* tile) {
  multiply_tile<T, V, false>(x, block_stride, min_of(blocks, kDepthBlocks), w, tile);
  for (int b = kDepthBlocks; b < blocks; b += kDepthBlocks) {
    multiply_tile<T, V, true>(x + b * block_stride, block_stride, min_of(blocks - b, kDepthBlocks),
                              w + static_cast<int64_t>(b) * kLanes * kPairLanes, tile);
  }
}

// ---- gemm_pixels

// How pixels are cut into pieces, and a piece's outputs into parts where pieces alone are too few for the threads. AMX, whose products
// want more pixels than a small image has, takes `together` images at a time.
struct PixelPlan {
  int images, pixels, blocks;  // of k
  int tile, piece, pieces;     // pixels a tile and a piece; pieces an image
  int together;
  int pairs, parts, part_pairs;
  int64_t items() const { return static_cast<int64_t>(images) * pieces; }
  int64_t groups() const { return static_cast<int64_t>(ceil_div(images, together)) * pieces; }
};

inline PixelPlan plan_pixels(int images, int pixels, int blocks, int out) {
  PixelPlan p{};
  p.images = images;
  p.pixels = pixels;
  p.blocks = blocks;
  p.tile = kAmx ? kRunPixels : tile_for(pixels);
  const int most = max_of(p.tile, static_cast<int>(min_of<int64_t>(kMaxPixels, kPieceFloats / (static_cast<int64_t>(blocks) * kLanes))));
  p.piece = ceil_div(ceil_div(pixels, ceil_div(pixels, most)), p.tile) * p.tile;
  p.pieces = ceil_div(pixels, p.piece);
  p.together = kAmx && p.pieces == 1 ? min_of(images, max_of(1, most / pixels)) : 1;
  p.pairs = pairs_of(out);
  const int wanted = static_cast<int>(min_of<int64_t>(p.pairs, ceil_div<int64_t>(kMinItems, p.groups())));
  p.part_pairs = ceil_div(p.pairs, wanted);
  p.parts = ceil_div(p.pairs, p.part_pairs);
  return p;
}

inline size_t pixels_scratch(const PixelPlan& p) {
  return sizeof(Operand) * static_cast<size_t>(product_blocks(p.blocks)) * static_cast<size_t>(p.piece * p.together) * kLanes;
}

// source.direct(image, pixel): x's first block at that pixel, blocks source.block_stride elements apart; null:
// source.fill_blocks(image, pixel, count, first block, blocks, dst, places) writes blocks of [count][kLanes] to their places.
// source.prefetch(image, pixel, count, first block, last block) asks for memory.
// epilogue.begin(item, image, block) -> state; state.prefetch(pixel, count) asks for what state.tile will read; state.tile(pixel, count,
// values) gets each tile's [count][kLanes] in order of the pixels; state.end() closes the piece. out: channels of y.
#if !defined(__AMX_BF16__)
template <class Source, class Epilogue>
inline void gemm_pixels(const Exec& exec, const PixelPlan& p, int out, const Operand* packed, const Source& source,
                        const Epilogue& epilogue) {
  parallel_for(*exec.pool, p.items() * p.parts, [&](int64_t item, int thread) {
    const int64_t piece = item / p.parts;
    const int image = static_cast<int>(piece / p.pieces), first = static_cast<int>(piece % p.pieces) * p.piece;
    const int count = min_of(p.piece, p.pixels - first);
    const Operand* x = source.direct(image, first);
    int64_t block_stride = source.block_stride;
    if (x == nullptr) {
      Operand* copy = reinterpret_cast<Operand*>(exec.scratch + thread * exec.scratch_stride);
      block_stride = static_cast<int64_t>(count) * kLanes;
      source.fill_blocks(image, first, count, 0, p.blocks, copy, BlockPlaces{block_stride, kLanes});
      x = copy;
    }
    const int pair0 = static_cast<int>(item % p.parts) * p.part_pairs, pair1 = min_of(p.pairs, pair0 + p.part_pairs);
    // The piece that this thread will most likely take next, a few blocks of it for every pair of outputs.
    const int64_t next = (item + exec.pool->threads()) / p.parts;
    const bool ahead = next != piece && next < p.items();
    const int next_image = static_cast<int>(next / p.pieces), next_first = static_cast<int>(next % p.pieces) * p.piece;
    const int next_count = min_of(p.piece, p.pixels - next_first);
    alignas(64) float tile[2 * kWidestTile * kLanes];
    for (int pair = pair0; pair < pair1; ++pair) {
      if (ahead) {
        source.prefetch(next_image, next_first, next_count, p.blocks * (pair - pair0) / (pair1 - pair0),
                        p.blocks * (pair - pair0 + 1) / (pair1 - pair0));
      }
      const Operand* w = packed + static_cast<int64_t>(pair) * p.blocks * kLanes * kPairLanes;
      const bool both = pair * kPairLanes + kLanes < out;
      auto low = epilogue.begin(piece, image, 2 * pair);
      auto high = epilogue.begin(piece, image, both ? 2 * pair + 1 : 2 * pair);
      for (int pixel = 0; pixel < count;) {
        const int size = tile_within(p.tile, count - pixel);
        low.prefetch(first + pixel, size);
        if (both) high.prefetch(first + pixel, size);
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
#endif

// ---- gemm_reduce

#if defined(__AVX512F__)
constexpr int kReduceRows = 8;  // of a block of k at once
#else
constexpr int kReduceRows = 4;
#endif
constexpr int kPartPairs = kAmx ? 32 : 64 / kLanes * kDot;  // pairs of output blocks whose dy is held together

// A piece is a run of an image's pixels, or `together` whole images where those are small.
struct ReducePlan {
  int images, pixels, blocks, together, piece, pieces;  // pixels of a piece, pieces of an image (or group of images)
  int pairs, parts, part_pairs, chunks, chunk_pieces;
  bool whole = false;  // all operands are brought into form first, and nothing is summed in chunks (gemm_tiles.h)

  int all_pieces() const { return ceil_div(images, together) * pieces; }
  int piece_pixels(int index) const {
    if (together > 1) return min_of(together, images - index * together) * pixels;
    return min_of(piece, pixels - index % pieces * piece);
  }
  // Calls f(image, first pixel, pixels, where they lie in the piece).
  template <class F>
  void for_images(int index, const F& f) const {
    if (together == 1) return f(index / pieces, index % pieces * piece, piece_pixels(index), 0);
    for (int i = 0; i < piece_pixels(index) / pixels; ++i) f(index * together + i, 0, pixels, i * pixels);
  }
};

// Of the chunks' gradients, and of all operands of a whole one: x's and dy's pieces.
inline int64_t partial_bytes(const ReducePlan& p) {
  return static_cast<int64_t>(sizeof(float)) * p.chunks * p.pairs * kPairLanes * p.blocks * kLanes;
}
inline int64_t piece_operands(const ReducePlan& p) { return static_cast<int64_t>(ceil_div(p.piece, kReduceGroup)) * kReduceGroup * kLanes; }
inline int64_t whole_bytes(const ReducePlan& p) {
  return static_cast<int64_t>(sizeof(Operand)) * p.all_pieces() * piece_operands(p) * (p.blocks + 2 * p.pairs);
}

// Where the operands are less than the chunks' gradients, which are written and read again.
inline void choose_whole(ReducePlan& p) {
  if (whole_bytes(p) >= partial_bytes(p)) return;
  p.whole = true;
  p.chunks = 1;
}

inline ReducePlan plan_reduce(int images, int pixels, int blocks, int out) {
  ReducePlan p{};
  p.images = images;
  p.pixels = pixels;
  p.blocks = blocks;
  const int most = max_of(1, static_cast<int>(min_of<int64_t>(kMaxPixels, kDot * kPieceFloats / (static_cast<int64_t>(blocks) * kLanes))));
  p.together = min_of(images, max_of(1, most / pixels));
  p.piece = p.together > 1 ? p.together * pixels : ceil_div(pixels, ceil_div(pixels, max_of(most, 32)));
  p.pieces = p.together > 1 ? 1 : ceil_div(pixels, p.piece);
  p.pairs = pairs_of(out);
  p.part_pairs = min_of(p.pairs, kPartPairs);
  p.parts = ceil_div(p.pairs, p.part_pairs);
  const int all = p.all_pieces();
  p.chunk_pieces = ceil_div(all, min_of(all, ceil_div(kMinItems, p.parts)));
  p.chunks = ceil_div(all, p.chunk_pieces);
  if (kAmx) choose_whole(p);
  return p;
}

inline size_t reduce_workspace(const ReducePlan& p) { return static_cast<size_t>(partial_bytes(p) + (p.whole ? whole_bytes(p) : 0)); }
inline size_t reduce_scratch(const ReducePlan& p) {
  if (p.whole) return 0;
  return sizeof(Operand) * static_cast<size_t>(p.piece + kReduceGroup) * kLanes * static_cast<size_t>(p.blocks + 2 * p.part_pairs);
}

#if !defined(__AMX_BF16__)
// What gemm_reduce runs over: blocks [first, first + blocks) of a piece of a source, in `copy` where it must be copied or laced. copy has
// room for the piece's pixels + kReduceGroup a block.
struct ReduceOperand {
  const Operand* data;
  int64_t block_stride;
};

template <class Source>
inline ReduceOperand reduce_operand(const Source& source, const ReducePlan& p, int piece, int first, int blocks, Operand* copy) {
  const int count = p.piece_pixels(piece);
  const Operand* direct = nullptr;
  if (p.together == 1) p.for_images(piece, [&](int image, int pixel, int, int) { direct = source.direct(image, pixel); });
  if (kDot == 1 && direct != nullptr) return {direct + first * source.block_stride, source.block_stride};
  const int64_t stride = static_cast<int64_t>(ceil_div(count, kDot)) * kDot * kLanes;
  const auto fill = [&](int block, int several) {
    p.for_images(piece, [&](int image, int pixel, int pixels, int at) {
      source.fill_blocks(image, pixel, pixels, first + block, several, copy + block * stride + static_cast<int64_t>(at) * kLanes,
                         BlockPlaces{stride, kLanes});
    });
  };
  if (direct == nullptr && (kDot == 1 || Source::kAtOnce)) fill(0, blocks);
#if defined(SKNET_STORE_BF16) && defined(__AVX512BF16__)
  for (int b = 0; b < blocks; ++b) {
    if (direct == nullptr && !Source::kAtOnce) fill(b, 1);
    lace_pixels(direct == nullptr ? copy + b * stride : direct + (first + b) * source.block_stride, count, copy + b * stride);
  }
#endif
  return {copy, stride};
}

// dw[i][V] (+)= over `count` pixels (groups of kDot), for kReduceRows of x's lanes. dy_stride: elements between dy's blocks.
template <int V>
SKNET_INLINE void reduce_tile(const Operand* x, const Operand* dy, int64_t dy_stride, int groups, float* dw, bool add) {
  Vec acc[kReduceRows][V];
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[r][v] = add ? load(dw + r * kPairLanes + v * kLanes) : Vec{};
  }
  for (int g = 0; g < groups; ++g, x += kLanes * kDot, dy += kLanes * kDot) {
    Vec dv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) dv[v] = load_dot(dy + v * dy_stride);
#pragma GCC unroll 8
    for (int r = 0; r < kReduceRows; ++r) {
      const Vec xv = broadcast_dot(x, r);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] = multiply_dot(acc[r][v], xv, dv[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kReduceRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(dw + r * kPairLanes + v * kLanes, acc[r][v]);
  }
}

// partial: reduce_workspace() bytes, filled with `chunks` weight gradients [pair of output blocks][k][kPairLanes] whose sum in chunk order
// is dw. Sources as in gemm_pixels, kAtOnce where it is cheaper to fill all blocks in one call.
template <class Source, class Gradient>
inline void gemm_reduce(const Exec& exec, const ReducePlan& p, int out, float* partial, const Source& source, const Gradient& gradient) {
  const int64_t pair_floats = static_cast<int64_t>(p.blocks) * kLanes * kPairLanes;
  parallel_for(*exec.pool, static_cast<int64_t>(p.chunks) * p.parts, [&](int64_t item, int thread) {
    Operand* dy_copy = reinterpret_cast<Operand*>(exec.scratch + thread * exec.scratch_stride);
    Operand* x_copy = dy_copy + static_cast<int64_t>(2 * p.part_pairs) * (p.piece + kReduceGroup) * kLanes;
    const int chunk = static_cast<int>(item / p.parts), pair0 = static_cast<int>(item % p.parts) * p.part_pairs;
    const int pair1 = min_of(p.pairs, pair0 + p.part_pairs), first_block = 2 * pair0;
    const int part_blocks = min_of(ceil_div(out, kLanes), 2 * pair1) - first_block;
    float* dw = partial + static_cast<int64_t>(chunk) * p.pairs * pair_floats;
    const int begin = chunk * p.chunk_pieces, end = min_of(p.all_pieces(), begin + p.chunk_pieces);
    for (int piece = begin; piece < end; ++piece) {
      const int groups = ceil_div(p.piece_pixels(piece), kReduceGroup);
      const ReduceOperand dy = reduce_operand(gradient, p, piece, first_block, part_blocks, dy_copy);
      const ReduceOperand x = reduce_operand(source, p, piece, 0, p.blocks, x_copy);
      for (int b = 0; b < p.blocks; ++b) {
        if (piece + 1 < end) {
          p.for_images(piece + 1, [&](int image, int pixel, int pixels, int) {
            source.prefetch(image, pixel, pixels, b, b + 1);
            gradient.prefetch(image, pixel, pixels, first_block + part_blocks * b / p.blocks,
                              first_block + part_blocks * (b + 1) / p.blocks);
          });
        }
        for (int pair = pair0; pair < pair1; ++pair) {
          float* tile = dw + pair * pair_floats + static_cast<int64_t>(b) * kLanes * kPairLanes;
          const Operand* d = dy.data + 2 * (pair - pair0) * dy.block_stride;
          const Operand* xb = x.data + b * x.block_stride;
          const bool both = pair * kPairLanes + kLanes < out;
          for (int r = 0; r < kLanes; r += kReduceRows) {
            if (both) {
              reduce_tile<2>(xb + r * kDot, d, dy.block_stride, groups, tile + r * kPairLanes, piece > begin);
            } else {
              reduce_tile<1>(xb + r * kDot, d, dy.block_stride, groups, tile + r * kPairLanes, piece > begin);
            }
          }
        }
      }
    }
  });
}
#endif

}  // namespace
}  // namespace sknet::cpu

#include "cpu/gemm_tiles.h"
