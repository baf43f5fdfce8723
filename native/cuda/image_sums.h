// Sums over the pixels of an image, per channel: kSums of them at once. A lane adds up to kRowsALane pixels in float32, everything above in
// float64, in an order that the shape alone decides. An image of one tile is finished where it is summed; else tiles leave their sums in
// the workspace, for a second kernel.
#pragma once

#include "core/exec.h"
#include "cuda/rows.h"

namespace sknet::cuda {

struct ImageTiles {
  RowTiles tiles;  // of one image
  int images = 0;
  double* partial = nullptr;  // [image][tile][kSums][channels]
};

template <class Elem>
size_t image_sums_workspace(int images, int hw, int c, int sums) {
  const RowTiles t = row_tiles<Elem>(hw, c);
  return t.tiles() == 1 ? 0 : sizeof(double) * static_cast<size_t>(images * t.tiles() * sums * t.channels);
}

// Pixels: begin(image, c, channels) is called once, then for each pixel fetch(offset, raw) reads chunks of channels from c on, raw[kReads],
// and pixel(offset, raw, sums) adds to sums[kSums][]; kKept: vectors of a chunk that it keeps from pixel to pixel.
// Finish: (image, c, channels, sums[kSums]) writes what follows for one channel. Both are passed to the kernel by value.

// Blocks that should fit on a multiprocessor, by how many numbers a lane keeps in registers.
constexpr int blocks_by(int numbers) { return numbers <= 40 ? 3 : numbers <= 80 ? 2 : 1; }

// Pixels that a lane fetches before it adds the first.
__host__ __device__ constexpr int pixels_at_once(int reads) { return reads <= 2 ? 4 : reads <= 4 ? 2 : 1; }

template <class Elem, int kSums, class Pixels, class Finish>
__global__ void __launch_bounds__(kTileLanes, blocks_by((kSums + Pixels::kKept) * kChunk<Elem>))
    sum_images(ImageTiles t, Pixels pixels, Finish finish) {
  constexpr int kWarps = kTileLanes / 32, kNumbers = kSums * kChunk<Elem>;
  constexpr int kAtOnce = pixels_at_once(Pixels::kReads);
  SIMT_SHARED(double[kWarps][8][kNumbers], warps);
  const RowTiles& tiles = t.tiles;
  const int count = static_cast<int>(tiles.tiles()), image = static_cast<int>(blockIdx.x) / count,
            tile = static_cast<int>(blockIdx.x) % count;
  const LaneRows lane = lane_rows<Elem>(tiles, tile);
  float sums[kSums][kChunk<Elem>] = {};
  pixels.begin(image, lane.c, tiles.channels);
  const auto at = [&](int64_t row) { return (static_cast<int64_t>(image) * tiles.rows + row) * tiles.channels + lane.c; };
  for_rows<Pixels::kReads, kAtOnce>(
      lane, [&](int64_t row, uint4(&raw)[Pixels::kReads]) { pixels.fetch(at(row), raw); },
      [&](int64_t row, const uint4(&raw)[Pixels::kReads]) { pixels.pixel(at(row), raw, sums); });
  const int t_lane = static_cast<int>(threadIdx.x), column = t_lane & (tiles.across() - 1);
#pragma unroll
  for (int k = 0; k < kNumbers; ++k) {
    double sum = sums[k / kChunk<Elem>][k % kChunk<Elem>];
    for (int d = tiles.across(); d < 32; d <<= 1) sum += __shfl_xor_sync(~0u, sum, d);
    if ((t_lane & 31) < tiles.across()) warps[t_lane >> 5][column][k] = sum;
  }
  __syncthreads();
  // A lane a channel of the tile: all its sums.
  const int width = tiles.across() * kChunk<Elem>;
  if (t_lane >= width) return;
  const int c = static_cast<int>(blockIdx.y) * width + t_lane;
  if (c >= tiles.channels) return;
  double total[kSums];
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    total[s] = 0;
    for (int w = 0; w < kWarps; ++w) total[s] += warps[w][t_lane / kChunk<Elem>][s * kChunk<Elem> + t_lane % kChunk<Elem>];
  }
  if (count == 1) {
    finish(image, c, tiles.channels, total);
    return;
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) t.partial[((static_cast<int64_t>(image) * count + tile) * kSums + s) * tiles.channels + c] = total[s];
}

template <int kSums, class Finish>
__global__ void __launch_bounds__(kTileLanes) finish_images(ImageTiles t, Finish finish) {
  const int channels = t.tiles.channels, count = static_cast<int>(t.tiles.tiles());
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kTileLanes + threadIdx.x;
  if (i >= static_cast<int64_t>(t.images) * channels) return;
  const int image = static_cast<int>(i / channels), c = static_cast<int>(i % channels);
  double total[kSums] = {};
  for (int tile = 0; tile < count; ++tile) {
#pragma unroll
    for (int s = 0; s < kSums; ++s) total[s] += t.partial[((static_cast<int64_t>(image) * count + tile) * kSums + s) * channels + c];
  }
  finish(image, c, channels, total);
}

template <class Elem, int kSums, class Pixels, class Finish>
void launch_image_sums(int images, int hw, int c, const Exec& exec, const Pixels& pixels, const Finish& finish) {
  const ImageTiles t{row_tiles<Elem>(hw, c), images, reinterpret_cast<double*>(exec.workspace)};
  dim3 grid = grid_of<Elem>(t.tiles);
  grid.x *= static_cast<unsigned>(images);
  SIMT_LAUNCH((sum_images<Elem, kSums, Pixels, Finish>), grid, kTileLanes, 0, exec.stream, t, pixels, finish);
  if (t.tiles.tiles() == 1) return;
  const int blocks = ceil_div(images * t.tiles.channels, kTileLanes);
  SIMT_LAUNCH((finish_images<kSums, Finish>), blocks, kTileLanes, 0, exec.stream, t, finish);
}

}  // namespace sknet::cuda
