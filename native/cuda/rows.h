// Going over rows of channels. A block of 256 lanes has a tile: some chunks of channels side by side, a lane going down the rows of one of
// them, so that what belongs to the channels stays in registers and neighbouring lanes move neighbouring bytes.
#pragma once

#include "cuda/chunk.h"

namespace sknet::cuda {

constexpr int kTileLanes = 256;
constexpr int kRowsALane = 8;

// The tiles of `rows` rows of `channels` channels (padded).
struct RowTiles {
  int64_t rows = 0;
  int channels = 0;
  int across_bits = 0;  // 1 << across_bits chunks side by side, at most 8: 128 bytes

  __host__ __device__ int across() const { return 1 << across_bits; }
  __host__ __device__ int tile_rows() const { return kTileLanes * kRowsALane >> across_bits; }
  __host__ __device__ int64_t tiles() const { return (rows + tile_rows() - 1) / tile_rows(); }
};

template <class Elem>
RowTiles row_tiles(int64_t rows, int channels) {
  RowTiles t{rows, padded(channels), 0};
  while (t.across_bits < 3 && (t.across() * kChunk<Elem>) < t.channels) ++t.across_bits;
  return t;
}

// Tiles of rows in x, as they may be many; of channels in y.
template <class Elem>
dim3 grid_of(const RowTiles& t) {
  return {static_cast<unsigned>(t.tiles()), static_cast<unsigned>(ceil_div(t.channels, t.across() * kChunk<Elem>))};
}

// Where the calling lane stands in tile `tile` of rows and blockIdx.y of channels.
struct LaneRows {
  int c;        // its first channel; may be beyond the last, then there are no rows
  int64_t row;  // its first row
  int64_t end;  // behind the tile's last
  int step;     // rows between its own
};

template <class Elem>
__device__ __forceinline__ LaneRows lane_rows(const RowTiles& t, int64_t tile) {
  const int lane = static_cast<int>(threadIdx.x);
  const int c = ((static_cast<int>(blockIdx.y) << t.across_bits) + (lane & (t.across() - 1))) * kChunk<Elem>;
  const int64_t first = tile * t.tile_rows(), end = first + t.tile_rows() < t.rows ? first + t.tile_rows() : t.rows;
  return {c, c < t.channels ? first + (lane >> t.across_bits) : end, end, kTileLanes >> t.across_bits};
}

// The lane's rows: fetch(row, raw) brings chunks raw[kReads] for kAtOnce rows before use(row, raw) takes the first.
template <int kReads, int kAtOnce, class Fetch, class Use>
__device__ __forceinline__ void for_rows(const LaneRows& lane, const Fetch& fetch, const Use& use) {
  int64_t row = lane.row;
  for (; row + (kAtOnce - 1) * lane.step < lane.end; row += kAtOnce * lane.step) {
    uint4 raw[kAtOnce][kReads];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) fetch(row + i * lane.step, raw[i]);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) use(row + i * lane.step, raw[i]);
  }
  for (; row < lane.end; row += lane.step) {
    uint4 raw[kReads];
    fetch(row, raw);
    use(row, raw);
  }
}

// A number for each channel of the lane's chunk, where the channels are the tensor's.
template <class Elem>
__device__ __forceinline__ void load_for(const float* p, int c, int channels, float (&v)[kChunk<Elem>]) {
  if (c < channels) {
    load_vector(p + c, v);
  } else {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) v[q] = 0;
  }
}

}  // namespace sknet::cuda
