// 3 x 3 convolutions of bfloat16 in narrow groups that keep the image's size, with dilation 1 or 2: what sk_split spends its time with.
// A block of eight warps has tiles of 8 x 16 pixels and 32 channels in shared memory, with two pixels around them. Everything is counted
// in octets, 8 channels, which are one row of a tensor core's 8 x 8 matrix: groups of up to 8 channels lie within one, of 16 within two.
#pragma once

#include "cuda/chunk.h"
#include "cuda/conv_axis.h"
#include "ops/sk_split.h"

namespace sknet::cuda::octets {

constexpr int kThreads = 256, kOctet = 8, kOctets = 4, kWidth = kOctets * kOctet;
constexpr int kRows = 8, kCols = 16, kHalo = 2, kPatch = 8;  // a patch: columns of one matrix
constexpr int kTileRows = kRows + 2 * kHalo, kTileCols = kCols + 2 * kHalo;
constexpr int kPixelBytes = kOctets * 16 + 16;  // eight neighbours in different banks
constexpr int kRowBytes = kTileCols * kPixelBytes, kTileBytes = kTileRows * kRowBytes;
constexpr int kBranches = 2;

struct Plan {
  int images, h, w;
  int channels, width;  // in memory; of a group
  int tiles_h, tiles_w;
  int chunk, chunks;  // tiles of a block; blocks a set of channels
  FastDiv by_tiles_w, by_tiles;
  int dilation[kBranches];

  __host__ __device__ int tiles() const { return images * tiles_h * tiles_w; }
  __host__ __device__ int blocks() const { return ceil_div(channels, kWidth); }
  bool wide() const { return width > kOctet; }
};

inline const char* refuse(const SkSplitProblem& p) {
  const Conv2dProblem& first = p.conv[0];
  if (p.branches != kBranches) return "branches are not two";
  if (first.groups == 1 || first.c != first.out || 16 % (first.c / first.groups) != 0) return "channels a group are none of 1, 2, 4, 8, 16";
  for (int m = 0; m < kBranches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    if (conv.groups != first.groups) return "branches differ in groups";
    if (conv.kernel != 3 || conv.stride != 1 || conv.dilation > kHalo || conv.padding != conv.dilation)
      return "not 3 x 3 of dilation 1 or 2 that keeps the image's size";
  }
  return nullptr;
}

// all: blocks that an H100 holds at once; the same everywhere, so that sums have the same order.
inline Plan plan(const SkSplitProblem& p, int all) {
  const Conv2dProblem& conv = p.conv[0];
  Plan g{conv.n, conv.h, conv.w, padded(conv.c), conv.c / conv.groups, ceil_div(conv.h, kRows), ceil_div(conv.w, kCols)};
  const int wanted = all / g.blocks() > 0 ? all / g.blocks() : 1;
  g.chunk = ceil_div(g.tiles(), wanted);
  g.chunks = ceil_div(g.tiles(), g.chunk);
  g.by_tiles_w = FastDiv(g.tiles_w);
  g.by_tiles = FastDiv(g.tiles_h * g.tiles_w);
  for (int m = 0; m < kBranches; ++m) g.dilation[m] = p.conv[m].dilation;
  return g;
}

struct Place {
  int image, row, col;  // of a tile's first pixel
};
__device__ __forceinline__ Place place_of(const Plan& p, int tile) {
  const int image = p.by_tiles.quotient(tile), rest = tile - image * p.tiles_h * p.tiles_w, row = p.by_tiles_w.quotient(rest);
  return {image, row * kRows, (rest - row * p.tiles_w) * kCols};
}

// The chunks that a lane brings into a tile: of one column, every third row.
class LaneChunks {
 public:
  static constexpr int kEach = kTileRows / 3;
  __device__ __forceinline__ LaneChunks(const Plan& p, const Place& place, int c0) {
    constexpr int kAcross = kTileCols * kOctets;
    const int t = static_cast<int>(threadIdx.x), row = t / kAcross, at = t - row * kAcross, col = at / kOctets;
    has_ = t < 3 * kAcross;
    channel = c0 + at % kOctets * kOctet;
    y_ = place.row - kHalo + row;
    const int x = place.col - kHalo + col;
    across_ = has_ && static_cast<unsigned>(x) < static_cast<unsigned>(p.w) && channel < p.channels;
    h_ = p.h;
    apart_ = 3 * p.w * p.channels;
    from_ = ((static_cast<int64_t>(place.image) * p.h + y_) * p.w + x) * p.channels + channel;
    to_ = row * kRowBytes + col * kPixelBytes + at % kOctets * 16;
  }
  __device__ __forceinline__ bool inside(int i) const { return across_ && static_cast<unsigned>(y_ + 3 * i) < static_cast<unsigned>(h_); }
  __device__ __forceinline__ char* at(char* tile, int i) const { return tile + to_ + i * 3 * kRowBytes; }
  // Zeros outside the image.
  __device__ __forceinline__ void copy(const bf16* tensor, char* tile) const {
    if (!has_) return;
#pragma unroll
    for (int i = 0; i < kEach; ++i) cp_async16(at(tile, i), inside(i) ? tensor + from_ + i * apart_ : tensor, inside(i));
  }
  // Once the lane's own copies are there.
  __device__ __forceinline__ void normalize(const Normalize& norm, char* tile) const {
    if (!across_) return;
    float scale[kOctet], shift[kOctet];
    load_vector(norm.scale + channel, scale);
    load_vector(norm.shift + channel, shift);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (!inside(i)) continue;
      bf16* chunk = reinterpret_cast<bf16*>(at(tile, i));
      float v[kOctet];
      load_chunk(chunk, v);
#pragma unroll
      for (int q = 0; q < kOctet; ++q) {
        v[q] = scale[q] * v[q] + shift[q];
        if (norm.relu) v[q] = fmaxf(v[q], 0);
      }
      store_chunk(chunk, v);
    }
  }

  int channel;

 private:
  bool has_, across_;
  int y_, h_, apart_, to_;
  int64_t from_;
};

}  // namespace sknet::cuda::octets
