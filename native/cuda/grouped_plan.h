// How grouped convolutions of equal width on both sides are cut into tiles: 8 rows by 16 or 8 columns of pixels and kSlabs * 16 channels,
// whole groups, with all that their taps read around them in shared memory. Several branches (sk_split) share the pixels.
#pragma once

#include "cuda/chunk.h"
#include "cuda/conv_axis.h"
#include "ops/sk_split.h"

namespace sknet::cuda {

constexpr int kTileH = 8, kPatchW = 8, kPatchPixels = 16;  // a patch is 2 x 8 pixels, the rows of one tensor-core product
constexpr int kSlab = 16;                                  // channels of one
constexpr int kMostShared = 96 * 1024;                     // what every device since sm_80 gives a block

struct GroupedPlan {
  int images, branches, phases;  // phases: an axis
  int channels, width;           // in memory; of a group
  int source_h, source_w, out_h, out_w;
  int tile_w, tiles_h, tiles_w;
  int span_h, span_w;  // pixels of a tile with what its taps read
  FastDiv by_span_w, by_tile_w, by_tiles_w, by_tiles;
  int low_h[kMostPhases], low_w[kMostPhases];  // smallest offset of a tap
  int kernel[kMaxBranches];
  ConvAxis h[kMaxBranches][kMostPhases], w[kMaxBranches][kMostPhases];

  int span() const { return span_h * span_w; }
  int patches() const { return kTileH / 2 * (tile_w / kPatchW); }
  int tiles() const { return images * tiles_h * tiles_w; }
};

inline const char* grouped_refuse(const Conv2dProblem& p) {
  if (p.groups == 1) return "not grouped";
  if (p.c != p.out) return "input and output channels differ";
  const int width = p.c / p.groups;
  if (width > 16 ? width != 32 && width != 64 : 16 % width != 0) return "channels a group are none of 1, 2, 4, 8, 16, 32, 64";
  if (p.stride > kMostPhases) return "stride above 4";
  return nullptr;
}

inline void widen(const ConvAxis& axis, int* low, int* high) {
  for (int tap = 0; tap < axis.taps; ++tap) {
    const int at = axis.base + tap * axis.reach;
    *low = at < *low ? at : *low;
    *high = at > *high ? at : *high;
  }
}

inline GroupedPlan grouped_plan(const Conv2dProblem* conv, int branches, bool transposed) {
  const Conv2dProblem& p = conv[0];
  GroupedPlan g{p.n, branches, transposed ? p.stride : 1, padded(p.c), p.c / p.groups};
  g.source_h = transposed ? p.oh : p.h;
  g.source_w = transposed ? p.ow : p.w;
  g.out_h = transposed ? p.h : p.oh;
  g.out_w = transposed ? p.w : p.ow;
  int reach_h = 1, reach_w = 1;
  for (int phase = 0; phase < g.phases; ++phase) {
    int low_h = 1 << 20, high_h = -(1 << 20), low_w = low_h, high_w = high_h;
    for (int m = 0; m < branches; ++m) {
      g.kernel[m] = conv[m].kernel;
      g.h[m][phase] = transposed ? transposed_axis(conv[m], p.h, p.oh, phase) : forward_axis(conv[m], p.h, p.oh);
      g.w[m][phase] = transposed ? transposed_axis(conv[m], p.w, p.ow, phase) : forward_axis(conv[m], p.w, p.ow);
      widen(g.h[m][phase], &low_h, &high_h);
      widen(g.w[m][phase], &low_w, &high_w);
    }
    g.low_h[phase] = low_h <= high_h ? low_h : 0;
    g.low_w[phase] = low_w <= high_w ? low_w : 0;
    if (high_h - low_h + 1 > reach_h) reach_h = high_h - low_h + 1;
    if (high_w - low_w + 1 > reach_w) reach_w = high_w - low_w + 1;
  }
  const ConvAxis &h = g.h[0][0], &w = g.w[0][0];  // the first phase has the most rows
  g.tile_w = w.rows > kPatchW ? 2 * kPatchW : kPatchW;
  g.tiles_h = ceil_div(h.rows, kTileH);
  g.tiles_w = ceil_div(w.rows, g.tile_w);
  g.span_h = (kTileH - 1) * h.step + reach_h;
  g.span_w = (g.tile_w - 1) * w.step + reach_w;
  g.by_span_w = FastDiv(g.span_w);
  g.by_tile_w = FastDiv(g.tile_w);
  g.by_tiles_w = FastDiv(g.tiles_w);
  g.by_tiles = FastDiv(g.tiles_h * g.tiles_w);
  return g;
}

// Bytes between the pixels of a tile, so that eight neighbours fall into different banks.
template <class Elem>
__host__ __device__ constexpr int pixel_pitch(int slabs) {
  return slabs * kSlab * static_cast<int>(sizeof(Elem)) + 16;
}

// Slabs of a block, at most `most` where the groups are no wider: as many as there are channels for and as `bytes` (of slabs) leaves room
// for two blocks a processor, or one; 0: none fit.
template <class Bytes>
int choose_slabs(const GroupedPlan& g, int most, const Bytes& bytes) {
  for (const int room : {72 * 1024, kMostShared}) {
    for (int slabs = 4; slabs > 0; slabs /= 2) {
      const int width = slabs * kSlab;
      const bool whole = width >= g.width, useful = (slabs <= most && width / 2 < g.channels) || width == g.width || slabs == 1;
      if (whole && useful && bytes(slabs) <= room) return slabs;
    }
  }
  return 0;
}

// Where a block works.
struct TilePlace {
  int image, row, col;  // of the first pixel, counted in the phase's rows
};
__device__ __forceinline__ TilePlace tile_place(const GroupedPlan& g, int tile) {
  const int image = g.by_tiles.quotient(tile), rest = tile - image * g.tiles_h * g.tiles_w, row = g.by_tiles_w.quotient(rest);
  return {image, row * kTileH, (rest - row * g.tiles_w) * g.tile_w};
}

}  // namespace sknet::cuda
