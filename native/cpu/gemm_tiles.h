// gemm_pixels and gemm_reduce of gemm.h for AMX, which is ten times faster than the memory behind it: x is always copied, into the form
// that fills a product; several small images make a piece, so that weights are read more seldom; weight gradients avoid partial sums in
// memory.
#pragma once

#include "cpu/gemm.h"
#include "cpu/gemm_amx.h"

#if defined(__AMX_BF16__)

namespace sknet::cpu {
namespace {

// ---- gemm_pixels

constexpr int kDepthPairs = 16;  // pairs of blocks of k whose weights, two blocks of outputs, stay in L1

struct TileImages {
  int first, count;
};

// values[2 blocks, `block` floats apart][pixels][kLanes] of one pair of output blocks for `count` pixels, a multiple of kTileRows.
template <int V>
inline void multiply_piece(const Operand* x, int64_t pair_stride, int pairs, const Operand* w, int count, float* values, int64_t block) {
  constexpr int64_t kPair = 2 * kLanes;
  for (int k = 0; k < pairs; k += kDepthPairs) {
    const int depth = min_of(kDepthPairs, pairs - k);
    const Operand *xk = x + k * pair_stride, *wk = w + k * kPair * kPairLanes;
    for (int pixel = 0; pixel < count; pixel += kRunPixels) {
      if (count - pixel > kTileRows) {
        const int second = pixel + kTileRows;
        multiply_pixels<2, V>(xk + pixel * kPair, xk + second * kPair, pair_stride, depth, wk, values + pixel * kLanes,
                              values + second * kLanes, block, k > 0);
      } else {
        float* only = values + pixel * kLanes;
        multiply_pixels<1, V>(xk + pixel * kPair, xk + pixel * kPair, pair_stride, depth, wk, only, only, block, k > 0);
      }
    }
  }
}

template <class Source, class Epilogue>
inline void gemm_pixels(const Exec& exec, const PixelPlan& p, int out, const Operand* packed, const Source& source,
                        const Epilogue& epilogue) {
  constexpr int kMostRows = kMaxPixels + kTileRows;
  const int depth = product_blocks(p.blocks) / 2;
  parallel_for(*exec.pool, p.groups() * p.parts, [&](int64_t item, int thread) {
    const int64_t group = item / p.parts;
    const int piece = static_cast<int>(group % p.pieces), first = piece * p.piece, each = min_of(p.piece, p.pixels - first);
    const auto images_of = [&](int64_t g) {
      const int from = static_cast<int>(g / p.pieces) * p.together;
      return TileImages{from, min_of(p.together, p.images - from)};
    };
    const TileImages images = images_of(group);
    const int count = images.count * each, rows = ceil_div(count, kTileRows) * kTileRows;
    const int64_t block_operands = static_cast<int64_t>(rows) * kLanes;
    const BlockPlaces places{block_operands, 2 * kLanes};
    Operand* copy = reinterpret_cast<Operand*>(exec.scratch + thread * exec.scratch_stride);
    for (int i = 0; i < images.count; ++i) {
      source.fill_blocks(images.first + i, first, each, 0, p.blocks, copy + static_cast<int64_t>(i) * each * 2 * kLanes, places);
    }
    if (p.blocks % 2 != 0) {
      for (int row = 0; row < count; ++row) store(copy + places.at(p.blocks) + row * 2 * kLanes, Vec{});
    }
    const int pair0 = static_cast<int>(item % p.parts) * p.part_pairs, pair1 = min_of(p.pairs, pair0 + p.part_pairs);
    const int64_t next = (item + exec.pool->threads()) / p.parts;
    const bool ahead = next != group && next < p.groups();
    const int next_first = static_cast<int>(next % p.pieces) * p.piece, next_count = min_of(p.piece, p.pixels - next_first);
    const TileImages next_images = images_of(next);
    const TileShapes shapes(kTileDepth, 2);
    alignas(64) float values[2 * kMostRows * kLanes];
    constexpr int64_t kBlockFloats = kMostRows * kLanes;
    for (int pair = pair0; pair < pair1; ++pair) {
      for (int i = 0; ahead && i < next_images.count; ++i) {
        source.prefetch(next_images.first + i, next_first, next_count, p.blocks * (pair - pair0) / (pair1 - pair0),
                        p.blocks * (pair - pair0 + 1) / (pair1 - pair0));
      }
      const Operand* w = packed + static_cast<int64_t>(pair) * depth * 2 * kLanes * kPairLanes;
      const bool both = pair * kPairLanes + kLanes < out;
      if (both) {
        multiply_piece<2>(copy, 2 * block_operands, depth, w, rows, values, kBlockFloats);
      } else {
        multiply_piece<1>(copy, 2 * block_operands, depth, w, rows, values, kBlockFloats);
      }
      for (int i = 0; i < images.count; ++i) {
        for (int half = 0; half < (both ? 2 : 1); ++half) {
          const int image = images.first + i;
          auto state = epilogue.begin(static_cast<int64_t>(image) * p.pieces + piece, image, 2 * pair + half);
          const float* from = values + half * kBlockFloats + static_cast<int64_t>(i) * each * kLanes;
          for (int pixel = 0; pixel < each; pixel += kRunPixels) {
            state.tile(first + pixel, min_of(kRunPixels, each - pixel), from + pixel * kLanes);
          }
          state.end();
        }
      }
    }
  });
}

// ---- gemm_reduce

// Blocks [first, first + blocks) of a piece of a source, `stride` operands apart, zeros up to whole groups of pixels. X: the left operand.
template <bool X, class Source>
inline void fill_operand(const Source& source, const ReducePlan& p, int piece, int first, int blocks, Operand* to, int64_t stride) {
  const int count = p.piece_pixels(piece), groups = ceil_div(count, kReduceGroup), laced = ceil_div(count, kDot) * kDot;
  const Operand* direct = nullptr;
  if (p.together == 1) p.for_images(piece, [&](int image, int pixel, int, int) { direct = source.direct(image, pixel); });
  const auto fill = [&](int block, int several) {
    p.for_images(piece, [&](int image, int pixel, int pixels, int at) {
      source.fill_blocks(image, pixel, pixels, block, several, to + static_cast<int64_t>(at) * kLanes, BlockPlaces{stride, kLanes});
    });
  };
  if (direct == nullptr && Source::kAtOnce) fill(first, blocks);
  for (int b = first; b < first + blocks; ++b, to += stride) {
    if (direct == nullptr && !Source::kAtOnce) fill(b, 1);
    lace_pixels(direct == nullptr ? to : direct + b * source.block_stride, count, to);
    for (int row = laced; row < groups * kReduceGroup; ++row) store(to + static_cast<int64_t>(row) * kLanes, Vec{});
    if (X) transpose_pixels(to, groups);
  }
}

// Products of blocks [b0, b1) of k and pairs [pair0, pair1) of output blocks for one piece. x, dy: their blocks b0 and 2 pair0, `stride`
// operands from block to block; dw: [pair][k][kPairLanes].
inline void reduce_piece(const ReducePlan& p, int out, const Operand* x, const Operand* dy, int64_t stride, int groups, int b0, int b1,
                         int pair0, int pair1, float* dw, bool add) {
  for (int b = b0; b < b1; b += 2) {
    for (int pair = pair0; pair < pair1; ++pair) {
      float* tile = dw + (static_cast<int64_t>(pair) * p.blocks + b) * kLanes * kPairLanes;
      const Operand *xb = x + (b - b0) * stride, *d = dy + 2 * (pair - pair0) * stride;
      const bool both = pair * kPairLanes + kLanes < out, two = b + 1 < b1;
      const auto reduce = two ? (both ? reduce_pixels<2, 2> : reduce_pixels<2, 1>) : (both ? reduce_pixels<1, 2> : reduce_pixels<1, 1>);
      reduce(xb, stride, d, stride, groups, tile, add);
    }
  }
}

// In two passes: all pieces of x and dy into their form, then parts of dw over all of them.
template <class Source, class Gradient>
inline void gemm_reduce_whole(const Exec& exec, const ReducePlan& p, int out, float* dw, const Source& source, const Gradient& gradient) {
  constexpr int kFilled = 8, kMostBlocks = 16, kMostPairs = 8;
  const int pieces = p.all_pieces(), dy_blocks = ceil_div(out, kLanes);
  const int64_t stride = piece_operands(p);
  Operand* x = reinterpret_cast<Operand*>(reinterpret_cast<char*>(dw) + partial_bytes(p));
  Operand* dy = x + pieces * p.blocks * stride;
  const auto x_at = [&](int piece, int block) { return x + (static_cast<int64_t>(piece) * p.blocks + block) * stride; };
  const auto dy_at = [&](int piece, int block) { return dy + (static_cast<int64_t>(piece) * 2 * p.pairs + block) * stride; };
  const int x_parts = ceil_div(p.blocks, kFilled), parts = x_parts + ceil_div(dy_blocks, kFilled);
  parallel_for(*exec.pool, static_cast<int64_t>(pieces) * parts, [&](int64_t item, int) {
    const int piece = static_cast<int>(item / parts), part = static_cast<int>(item % parts);
    if (part < x_parts) {
      const int block = part * kFilled;
      fill_operand<true>(source, p, piece, block, min_of(kFilled, p.blocks - block), x_at(piece, block), stride);
    } else {
      const int block = (part - x_parts) * kFilled;
      fill_operand<false>(gradient, p, piece, block, min_of(kFilled, dy_blocks - block), dy_at(piece, block), stride);
    }
  });
  const int pair_parts = ceil_div(p.pairs, min_of(kMostPairs, max_of(1, p.pairs / 4))), part_pairs = ceil_div(p.pairs, pair_parts);
  const int block_parts = ceil_div(p.blocks, min_of(kMostBlocks, max_of(2, p.blocks / 4))),
            part_blocks = ceil_div(p.blocks, 2 * block_parts) * 2;
  parallel_for(*exec.pool, static_cast<int64_t>(pair_parts) * block_parts, [&](int64_t item, int) {
    const int b0 = static_cast<int>(item / pair_parts) * part_blocks, b1 = min_of(p.blocks, b0 + part_blocks);
    const int pair0 = static_cast<int>(item % pair_parts) * part_pairs, pair1 = min_of(p.pairs, pair0 + part_pairs);
    const TileShapes shapes(kTileDepth, 2);
    for (int piece = 0; piece < pieces; ++piece) {
      const int groups = ceil_div(p.piece_pixels(piece), kReduceGroup);
      reduce_piece(p, out, x_at(piece, b0), dy_at(piece, 2 * pair0), stride, groups, b0, b1, pair0, pair1, dw, piece > 0);
    }
  });
}

template <class Source, class Gradient>
inline void gemm_reduce(const Exec& exec, const ReducePlan& p, int out, float* partial, const Source& source, const Gradient& gradient) {
  if (p.whole) return gemm_reduce_whole(exec, p, out, partial, source, gradient);
  const int64_t stride = piece_operands(p);
  parallel_for(*exec.pool, static_cast<int64_t>(p.chunks) * p.parts, [&](int64_t item, int thread) {
    Operand* dy = reinterpret_cast<Operand*>(exec.scratch + thread * exec.scratch_stride);
    Operand* x = dy + 2 * p.part_pairs * stride;
    const int chunk = static_cast<int>(item / p.parts), pair0 = static_cast<int>(item % p.parts) * p.part_pairs;
    const int pair1 = min_of(p.pairs, pair0 + p.part_pairs), first_block = 2 * pair0;
    const int part_blocks = min_of(ceil_div(out, kLanes), 2 * pair1) - first_block;
    float* dw = partial + static_cast<int64_t>(chunk) * p.pairs * p.blocks * kLanes * kPairLanes;
    const int begin = chunk * p.chunk_pieces, end = min_of(p.all_pieces(), begin + p.chunk_pieces);
    const TileShapes shapes(kTileDepth, 2);
    for (int piece = begin; piece < end; ++piece) {
      const int groups = ceil_div(p.piece_pixels(piece), kReduceGroup);
      fill_operand<false>(gradient, p, piece, first_block, part_blocks, dy, stride);
      fill_operand<true>(source, p, piece, 0, p.blocks, x, stride);
      for (int b = 0; b < p.blocks; b += 2) {
        const int b1 = min_of(p.blocks, b + 2);
        if (piece + 1 < end) {
          p.for_images(piece + 1, [&](int image, int pixel, int pixels, int) {
            source.prefetch(image, pixel, pixels, b, b1);
            gradient.prefetch(image, pixel, pixels, first_block + part_blocks * b / p.blocks, first_block + part_blocks * b1 / p.blocks);
          });
        }
        reduce_piece(p, out, x + b * stride, dy, stride, groups, b, b1, pair0, pair1, dw, piece > begin);
      }
    }
  });
}

}  // namespace
}  // namespace sknet::cpu

#endif
