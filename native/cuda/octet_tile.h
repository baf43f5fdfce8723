// 3 x 3 convolutions of bfloat16 in groups of up to 32 channels, stride 1 or 2, dilation 1 or 2, padded by the dilation: what sk_split
// spends its time with. A block of eight warps makes tiles of 8 rows by 16 or 8 columns and 32 channels, from the pixels around them in
// shared memory. Everything is counted in octets, 8 channels, which are one row of a tensor core's 8 x 8 matrix: groups of up to 8 channels
// lie within one, of 16 within two, of 32 within four.
#pragma once

#include "cuda/chunk.h"
#include "cuda/conv_axis.h"
#include "ops/sk_split.h"

namespace sknet::cuda::octets {

constexpr int kThreads = 256, kWarps = kThreads / 32, kOctet = 8, kOctets = 4, kWidth = kOctets * kOctet;
constexpr int kRows = 8, kPatch = 8;            // rows of a tile; a patch: columns of one matrix
constexpr int kPixelBytes = kOctets * 16 + 16;  // eight neighbours in different banks
constexpr int kBranches = 2, kMostDilation = 2;

// The pixels that a tile of kRows by `cols` results reads, as they lie in shared memory: a result lies on every kStep-th, `around` are read
// on each side. Where the step is 2, a row has its even columns first, so that what neighbouring results read lies side by side.
template <int kResultCols, int kStepOf, int kAround>
struct Window {
  static constexpr int kStep = kStepOf, kBefore = kAround;
  static constexpr int kRowCount = kStep * (kRows - 1) + 1 + 2 * kAround, kColCount = kStep * (kResultCols - 1) + 1 + 2 * kAround;
  static constexpr int kRowBytes = kColCount * kPixelBytes, kBytes = kRowCount * kRowBytes;
  // Byte of a row and column counted from the window's first.
  __host__ __device__ static constexpr int place(int row, int col) {
    const int across = kStep == 1 ? col : col / 2 + (col % 2) * ((kColCount + 1) / 2);
    return row * kRowBytes + across * kPixelBytes;
  }
  // What the tile's first result reads at a distance; the result at (row, col) reads row * kStep * kRowBytes + col * kPixelBytes behind.
  __host__ __device__ static constexpr int at(int rows, int cols) { return place(kAround + rows, kAround + cols); }
};

// What a kernel is compiled for: octets that a group lies in, and the stride.
template <int kSpanOf, int kStride>
struct Shape {
  static constexpr int kSpan = kSpanOf, kStep = kStride;
  static constexpr int kOuts = kSpan > 1 ? 2 : 1, kHalves = kSpan > 2 ? kSpan / 2 : 1;  // octets that a warp makes; pairs that it sums over
  static constexpr int kPatches = kSpan < 4 && kStep == 1 ? 2 : 1, kCols = kPatches * kPatch;
  static constexpr int kItems = (kSpan > 1 ? 9 * kHalves : 3) * 32;  // packed weights, 16 bytes each, of kOuts octets
  using Input = Window<kCols, kStep, kMostDilation>;
  using Gradient =
      Window<kCols, 1, kStep == 1 ? kMostDilation : kMostDilation / 2>;  // of the outputs, around those that a tile of inputs reaches
};

struct Plan {
  int images, h, w, oh, ow;  // of the input, of the outputs
  int channels, width;       // in memory; of a group
  int stride, tiles_h, tiles_w;
  int chunk, chunks;  // tiles of a block; blocks a set of channels
  FastDiv by_tiles_w, by_tiles;
  int dilation[kBranches];

  __host__ __device__ int tiles() const { return images * tiles_h * tiles_w; }
  __host__ __device__ int blocks() const { return ceil_div(channels, kWidth); }
};

// f.operator()<Shape>(), the shape that a problem needs.
template <class F>
auto with_shape(int width, int stride, const F& f) {
  const auto of_span = [&]<int kSpan>() {
    return stride == 1 ? f.template operator()<Shape<kSpan, 1>>() : f.template operator()<Shape<kSpan, 2>>();
  };
  if (width <= kOctet) return of_span.template operator()<1>();
  return width <= 2 * kOctet ? of_span.template operator()<2>() : of_span.template operator()<4>();
}

inline const char* refuse(const SkSplitProblem& p) {
  const Conv2dProblem& first = p.conv[0];
  if (p.branches != kBranches) return "branches are not two";
  if (first.groups == 1 || first.c != first.out || kWidth % (first.c / first.groups) != 0)
    return "channels a group are none of 1, 2, 4, 8, 16, 32";
  for (int m = 0; m < kBranches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    if (conv.groups != first.groups) return "branches differ in groups";
    if (conv.kernel != 3 || conv.stride > 2 || conv.dilation > kMostDilation || conv.padding != conv.dilation)
      return "not 3 x 3 of stride and dilation 1 or 2, padded by the dilation";
  }
  return nullptr;
}

// all: blocks that an H100 holds at once; the same everywhere, so that sums have the same order.
inline Plan plan(const SkSplitProblem& p, int all) {
  const Conv2dProblem& conv = p.conv[0];
  const int width = conv.c / conv.groups, cols = with_shape(width, conv.stride, []<class S>() { return S::kCols; });
  Plan g{conv.n, conv.h, conv.w, conv.oh, conv.ow, padded(conv.c), width, conv.stride, ceil_div(conv.oh, kRows), ceil_div(conv.ow, cols)};
  const int wanted = all / g.blocks() > 0 ? all / g.blocks() : 1;
  g.chunk = ceil_div(g.tiles(), wanted);
  g.chunks = ceil_div(g.tiles(), g.chunk);
  g.by_tiles_w = FastDiv(g.tiles_w);
  g.by_tiles = FastDiv(g.tiles_h * g.tiles_w);
  for (int m = 0; m < kBranches; ++m) g.dilation[m] = p.conv[m].dilation;
  return g;
}

struct Place {
  int image, row, col;  // of a tile's first result
};
template <class Shape>
__device__ __forceinline__ Place place_of(const Plan& p, int tile) {
  const int image = p.by_tiles.quotient(tile), rest = tile - image * p.tiles_h * p.tiles_w, row = p.by_tiles_w.quotient(rest);
  return {image, row * kRows, (rest - row * p.tiles_w) * Shape::kCols};
}

// The chunks that a lane brings into a window of a tensor of h by w pixels: of one column, every kApart-th row.
template <class Window>
class LaneChunks {
 public:
  static constexpr int kAcross = Window::kColCount * kOctets, kApart = kThreads / kAcross, kEach = ceil_div(Window::kRowCount, kApart);
  static constexpr int kAtOnce = kEach > 4 ? 2 : kEach;  // normalised, for want of registers
  __device__ __forceinline__ LaneChunks(const Place& place, int h, int w, int channels, int c0) {
    const int t = static_cast<int>(threadIdx.x), at = t % kAcross, col = at / kOctets;
    row_ = t < kApart * kAcross ? t / kAcross : Window::kRowCount;
    channel = c0 + at % kOctets * kOctet;
    y_ = place.row * Window::kStep - Window::kBefore + row_;
    const int x = place.col * Window::kStep - Window::kBefore + col;
    across_ = static_cast<unsigned>(x) < static_cast<unsigned>(w) && channel < channels;
    h_ = h;
    apart_ = kApart * w * channels;
    from_ = ((static_cast<int64_t>(place.image) * h + y_) * w + x) * channels + channel;
    to_ = Window::place(row_, col) + at % kOctets * 16;
  }
  __device__ __forceinline__ bool has(int i) const { return row_ + i * kApart < Window::kRowCount; }
  __device__ __forceinline__ bool inside(int i) const {
    return has(i) && across_ && static_cast<unsigned>(y_ + i * kApart) < static_cast<unsigned>(h_);
  }
  __device__ __forceinline__ char* at(char* window, int i) const { return window + to_ + i * kApart * Window::kRowBytes; }
  // Zeros outside the image.
  __device__ __forceinline__ void copy(const bf16* tensor, char* window) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (has(i)) cp_async16(at(window, i), inside(i) ? tensor + from_ + i * apart_ : tensor, inside(i));
    }
  }
  // Once the lane's own copies are there.
  __device__ __forceinline__ void normalize(const Normalize& norm, char* window) const {
    if (!across_) return;
    float scale[kOctet], shift[kOctet];
    load_vector(norm.scale + channel, scale);
    load_vector(norm.shift + channel, shift);
#pragma unroll kAtOnce
    for (int i = 0; i < kEach; ++i) {
      if (!inside(i)) continue;
      bf16* chunk = reinterpret_cast<bf16*>(at(window, i));
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
  bool across_;
  int row_, y_, h_, apart_, to_;
  int64_t from_;
};

}  // namespace sknet::cuda::octets
