// Grouped convolutions, or their transposes, of a tile that lies in shared memory. Forward, all branches read one tile and each writes its
// own output; transposed (`joined`), each branch has its own tile and their sum is written. What goes with it happens on the way
// (grouped_fill.h, row_epilogue.h).
#pragma once

#include "core/exec.h"
#include "cuda/grouped_fill.h"
#include "cuda/grouped_multiply.h"
#include "cuda/launch.h"
#include "cuda/row_epilogue.h"

namespace sknet::cuda {

template <class Epilogue>
struct BranchEpilogues {
  Epilogue of[kMaxBranches];
};

// Packed weights of the branches.
struct BranchWeights {
  int64_t at[kMaxBranches + 1];  // elements; the last: all
};
template <class Elem>
BranchWeights branch_weights(const GroupedPlan& g) {
  BranchWeights w{};
  for (int m = 0; m < g.branches; ++m) w.at[m + 1] = w.at[m] + packed_branch<Elem>(g.channels, g.width, g.kernel[m]);
  w.at[kMaxBranches] = w.at[g.branches];
  return w;
}

// Shared memory: tiles, staging of finished sums, and per group of lanes [2][channels] sums, [channels] pivots, pixels.
template <class Elem>
int grouped_rows_shared(const GroupedPlan& g, int slabs, bool joined) {
  const int threads = g.patches() * 32, groups = sizeof(Elem) == 2 ? threads / 32 / slabs : threads / (slabs * 4);
  const int staging = sizeof(Elem) == 2 ? threads / 32 * GroupedMultiply<bf16, 1>::kStaging : 0;
  return (joined ? g.branches : 1) * g.span() * pixel_pitch<Elem>(slabs) + staging +
         groups * (3 * slabs * kSlab + 1) * static_cast<int>(sizeof(float));
}

// The convolutions of one tile, once it lies in shared memory: `shared` holds the tiles and behind them the rest (grouped_rows_shared).
template <class Elem, int kSlabs, bool kJoined, class Epilogue>
__device__ __forceinline__ void write_rows(const GroupedPlan& g, const TilePlace& place, int phase, int c0, char* shared, char* staging,
                                           const Elem* weights, const BranchWeights& offsets, int number,
                                           const BranchEpilogues<Epilogue>& epilogues) {
  constexpr int kWidth = kSlabs * kSlab;
  using Multiply = GroupedMultiply<Elem, kSlabs>;
  const int phase_h = phase / g.phases, phase_w = phase % g.phases, tile_bytes = g.span_h * g.span_w * pixel_pitch<Elem>(kSlabs);
  const ConvAxis &h = g.h[0][phase_h], &w = g.w[0][phase_w];
  const int threads = static_cast<int>(blockDim.x), t = static_cast<int>(threadIdx.x), c = c0 + Multiply::channel();
  float* sums = reinterpret_cast<float*>(staging + threads / 32 * Multiply::kStaging);
  Multiply product;
  for (int m = 0; m < g.branches; ++m) {
    if (m == 0 || !kJoined) product.clear();
    product.branch(g, m, phase_h, phase_w, shared + (kJoined ? m * tile_bytes : 0), weights + offsets.at[m], c0);
    if (kJoined && m + 1 < g.branches) continue;
    const Epilogue& epilogue = epilogues.of[kJoined ? 0 : m];
    typename Epilogue::State state;
    if (c < g.channels) epilogue.begin(state, c);
    product.drain(
        g, staging,
        [&](const float* v) {
          if (c < g.channels) epilogue.first(state, v);
        },
        [&](int row, int col, float(&v)[kChunk<Elem>]) {
          const int y = place.row + row, x = place.col + col;
          if (y >= h.rows || x >= w.rows || c >= g.channels) return;
          const int64_t line = static_cast<int64_t>(place.image) * g.out_h + y * h.out_step + h.out_base;
          epilogue.row(state, (line * g.out_w + x * w.out_step + w.out_base) * g.channels + c, v);
        });
    if constexpr (Epilogue::kSums) {
      const int groups = Multiply::groups(), group = Multiply::group();
      Multiply::add_up(state, [&](int which, int channel, float v) { sums[(group * 2 + which) * kWidth + channel] = v; });
      float *pivots = sums + groups * 2 * kWidth, *counts = pivots + groups * kWidth;
      if (Multiply::leads()) {
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) pivots[group * kWidth + Multiply::channel() + q] = state.pivot[q];
        if (Multiply::channel() == 0) counts[group] = static_cast<float>(Multiply::pixels(g, h.rows - place.row, w.rows - place.col));
      }
      __syncthreads();
      if (t < kWidth && c0 + t < g.channels) finish_groups(epilogue, sums, groups, kWidth, t, number, c0 + t);
      __syncthreads();
    }
  }
}

template <class Elem, int kSlabs, bool kJoined, class Fill, class Epilogue>
__global__ void __launch_bounds__(256, 2)
    grouped_rows(const __grid_constant__ GroupedPlan g, const __grid_constant__ Fill fill, const Elem* weights,
                 const __grid_constant__ BranchWeights offsets, const __grid_constant__ BranchEpilogues<Epilogue> epilogues) {
  constexpr int kWidth = kSlabs * kSlab, kBatch = Fill::kEach * static_cast<int>(sizeof(Elem)) == 16 ? 4 : 8;
  SIMT_DYN_SHARED(char, shared);
  const int blocks = ceil_div(g.channels, kWidth), tile = static_cast<int>(blockIdx.x) / blocks;
  const int c0 = (static_cast<int>(blockIdx.x) - tile * blocks) * kWidth, phase = static_cast<int>(blockIdx.y);
  const int phase_h = phase / g.phases, phase_w = phase % g.phases, filled = kJoined ? g.branches : 1;
  const TilePlace place = tile_place(g, tile);
  const int span = g.span_h * g.span_w, tile_bytes = span * pixel_pitch<Elem>(kSlabs);
  const int row0 = place.row * g.h[0][phase_h].step + g.low_h[phase_h], col0 = place.col * g.w[0][phase_w].step + g.low_w[phase_w];
  for (int m = 0; m < filled; ++m) {
    fill_tile<Elem, kSlabs, Fill::kEach, kBatch>(fill, m, place.image, c0, g.channels, g.source_h, g.source_w, row0, col0, span, g.span_w,
                                                 g.by_span_w, shared + m * tile_bytes);
  }
  cp_async_wait<0>();
  __syncthreads();
  const int number = phase * g.images * g.tiles_h * g.tiles_w + tile;
  write_rows<Elem, kSlabs, kJoined>(g, place, phase, c0, shared, shared + filled * tile_bytes, weights, offsets, number, epilogues);
}

__device__ __forceinline__ void put_element(float* to, float v) { *to = v; }
__device__ __forceinline__ void put_element(bf16* to, float v) { *to = to_bf(v); }

// One branch's packed weights from OIHW; transposed: the output of the product is the convolution's input.
template <class Elem>
__global__ void __launch_bounds__(256)
    pack_grouped(const float* weight, Elem* packed, int64_t size, int c, int width, int kernel, bool transposed) {
  constexpr int kSide = kPart<Elem>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int taps = kernel * kernel, parts = parts_of<Elem>(width), e = static_cast<int>(i % (kSide * kSide));
  const int64_t step = i / (kSide * kSide);
  const int part = static_cast<int>(step % parts), tap = static_cast<int>(step / parts % taps), own = static_cast<int>(step / parts / taps);
  int to, from;  // number within the part of the output and of the input
  if constexpr (sizeof(Elem) == 2) {
    const int lane = e / 8;
    to = e % 8 / 4 * 8 + lane / 4;
    from = lane % 4 * 2 + e % 2 + e / 2 % 2 * 8;
  } else {
    to = e / 4;
    from = e % 4;
  }
  to += own * kSide;
  from += (own / parts * parts + part) * kSide;
  const bool real = to < c && from < c && to / width == from / width;
  const int o = transposed ? from : to, in = transposed ? to : from;
  put_element(packed + i, real ? weight[(static_cast<int64_t>(o) * width + in % width) * taps + tap] : 0);
}

template <class Elem>
void pack_branch(const GroupedPlan& g, int c, int m, const float* weight, bool transposed, const Exec& exec) {
  const BranchWeights offsets = branch_weights<Elem>(g);
  const int64_t size = offsets.at[m + 1] - offsets.at[m];
  SIMT_LAUNCH((pack_grouped<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, weight,
              reinterpret_cast<Elem*>(exec.packed) + offsets.at[m], size, c, g.width, g.kernel[m], transposed);
}

template <class Elem>
int grouped_rows_slabs(const GroupedPlan& g, bool joined) {
  return choose_slabs(g, 4, [&](int slabs) { return grouped_rows_shared<Elem>(g, slabs, joined); });
}

template <class Elem, bool kJoined, int kSlabs, class Fill, class Epilogue>
void launch_slabs(const GroupedPlan& g, const Fill& fill, const BranchEpilogues<Epilogue>& epilogues, const Exec& exec) {
  const int shared = grouped_rows_shared<Elem>(g, kSlabs, kJoined);
  allow_shared(grouped_rows<Elem, kSlabs, kJoined, Fill, Epilogue>, kMostShared);
  SIMT_LAUNCH((grouped_rows<Elem, kSlabs, kJoined, Fill, Epilogue>),
              dim3(g.tiles() * ceil_div(g.channels, kSlabs * kSlab), g.phases * g.phases), g.patches() * 32, shared, exec.stream, g, fill,
              reinterpret_cast<const Elem*>(exec.packed), branch_weights<Elem>(g), epilogues);
}

template <class Elem, bool kJoined, class Fill, class Epilogue>
void launch_grouped_rows(const GroupedPlan& g, const Fill& fill, const BranchEpilogues<Epilogue>& epilogues, const Exec& exec) {
  switch (grouped_rows_slabs<Elem>(g, kJoined)) {
    case 4:
      return launch_slabs<Elem, kJoined, 4>(g, fill, epilogues, exec);
    case 2:
      return launch_slabs<Elem, kJoined, 2>(g, fill, epilogues, exec);
    default:
      return launch_slabs<Elem, kJoined, 1>(g, fill, epilogues, exec);
  }
}

}  // namespace sknet::cuda
