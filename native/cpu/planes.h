// Grouped (and depthwise) convolution on planes: one image's block of kLanes channels is copied with its halo into a thread-local
// plane [rows][columns][kLanes] that stays in L2, and all taps run over it with the output pixels' accumulators in registers.
// A block holds kLanes / width whole groups (width <= kLanes) or is a part of one (width > kLanes). Inside a block, input channel j
// of a lane's group is a permutation of the block's vector, so the vector units stay full at 1, 2, 4, 8 channels a group.
#pragma once

#include "cpu/norm.h"
#include "cpu/tiles.h"
#include "ops/conv2d.h"

namespace sknet::cpu {
namespace {

// Channels a group that planes can handle: a power of two that divides the vector, or a multiple of the vector.
constexpr bool planes_width(int width) { return width <= kLanes ? width > 0 && kLanes % width == 0 : width % kLanes == 0; }

inline const char* planes_refuse(const Conv2dProblem& p) {
  const Conv2dFusion& f = p.fusion;
  if (f.x_rows || f.x_norm || f.statistics || f.y_norm || f.dy_norm || f.close) return "does nothing for its neighbours";
  if (p.c != p.out) return "input and output channels differ";
  if (p.groups == 1) return "not grouped";
  if (!planes_width(p.c / p.groups)) return "channels a group neither divide nor are a multiple of the vector";
  if (p.c / p.groups > 64) return "groups wide enough for the matrix product";
  if (p.padding > p.dilation * (p.kernel - 1)) return "padding wider than the kernel's reach";
  return nullptr;
}

constexpr int blocks_of(int channels) { return ceil_div(channels, kLanes); }
// Input blocks that an output block reads.
constexpr int group_blocks(int width) { return width > kLanes ? width / kLanes : 1; }
// Channels of a block that a lane's sum runs over: `width` when it fits the vector, else the whole block.
constexpr int block_width(int width) { return min_of(width, kLanes); }

// ---- weights, packed for one direction: [block][input block of the group][tap][j][kLanes]

constexpr int64_t packed_planes_size(int c, int width, int kernel) {
  return static_cast<int64_t>(blocks_of(c)) * group_blocks(width) * kernel * kernel * block_width(width) * kLanes;
}

// forward: lane = output channel, j = input channel of its group. backward: lane = input channel, j = output channel, taps flipped.
inline void pack_planes(const Conv2dProblem& p, const float* weight, bool backward, int block, float* dst) {
  const int width = p.c / p.groups, taps = p.kernel * p.kernel, jw = block_width(width);
  for (int ib = 0; ib < group_blocks(width); ++ib) {
    for (int tap = 0; tap < taps; ++tap) {
      for (int j = 0; j < jw; ++j) {
        for (int lane = 0; lane < kLanes; ++lane, ++dst) {
          const int channel = block * kLanes + lane;
          if (channel >= p.c) {
            *dst = 0;
            continue;
          }
          const int other = ib * kLanes + j, group = channel / width;
          const int o = backward ? group * width + other : channel, i = backward ? channel % width : other;
          *dst = weight[(static_cast<int64_t>(o) * width + i) * taps + (backward ? taps - 1 - tap : tap)];
        }
      }
    }
  }
}

// Adds a packed forward-order gradient [ib][tap][j][lane] of `block` into OIHW.
inline void unpack_planes(const Conv2dProblem& p, const float* packed, int block, float* dweight) {
  const int width = p.c / p.groups, taps = p.kernel * p.kernel, jw = block_width(width);
  for (int ib = 0; ib < group_blocks(width); ++ib) {
    for (int tap = 0; tap < taps; ++tap) {
      for (int j = 0; j < jw; ++j) {
        for (int lane = 0; lane < kLanes; ++lane) {
          const float value = *packed++;
          const int channel = block * kLanes + lane;
          if (channel < p.c) dweight[(static_cast<int64_t>(channel) * width + ib * kLanes + j) * taps + tap] = value;
        }
      }
    }
  }
}

// ---- planes

struct Plane {
  float* data;  // [rows][cols][kLanes]
  int rows, cols;
};

constexpr int64_t plane_floats(int rows, int cols) { return static_cast<int64_t>(rows) * cols * kLanes; }

// Copies an image's block [h, w, kLanes] into the plane at (top, left), zeros elsewhere; value(x) is what becomes of a pixel.
template <class F>
inline void fill_plane(Plane plane, const Elem* block, int h, int w, int top, int left, const F& value) {
  zero_floats(plane.data, plane_floats(top, plane.cols));
  zero_floats(plane.data + plane_floats(top + h, plane.cols), plane_floats(plane.rows - top - h, plane.cols));
  for (int row = 0; row < h; ++row) {
    float* dst = plane.data + plane_floats(top + row, plane.cols);
    zero_floats(dst, plane_floats(1, left));
    dst += plane_floats(1, left);
    for (int col = 0; col < w; ++col, block += kLanes) store(dst + col * kLanes, value(load(block)));
    zero_floats(dst + plane_floats(1, w), plane_floats(1, plane.cols - left - w));
  }
}
inline void fill_plane(Plane plane, const Elem* block, int h, int w, int top, int left) {
  fill_plane(plane, block, h, w, top, left, [](Vec v) { return v; });
}

// Where image n's block lies in blocked memory of `channels` channels.
inline int64_t block_offset(int64_t n, int block, int channels, int64_t hw) {
  return (n * ceil_div(channels, kLanes) + block) * hw * kLanes;
}

// ---- the inner product over taps

// Lane l of the result is lane (l / W) W + J of x: input channel J of l's group.
template <int W, int J>
SKNET_INLINE Vec group_channel(Vec x) {
  if constexpr (W == 1) {
    return x;
  } else {
    IntVec index;
    for (int lane = 0; lane < kLanes; ++lane) index[lane] = lane / W * W + J;
    return shuffle(x, index);
  }
}

// STEP: pixels between the inputs of neighbouring outputs, known at compile time so that a tile's addresses are one register and
// constants; 0: `step` floats, known at run time.
template <int W, int J, int T, int STEP>
SKNET_INLINE void multiply_channel(Vec (&acc)[T], const float* x, int64_t step, const float* weights) {
  const Vec wv = load(weights + J * kLanes);
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
    const float* pixel = STEP > 0 ? x + t * STEP * kLanes : x + t * step;
    if constexpr (W == kLanes) {
      acc[t] += set1(pixel[J]) * wv;
    } else {
      acc[t] += group_channel<W, J>(load(pixel)) * wv;
    }
  }
  if constexpr (J + 1 < W) multiply_channel<W, J + 1, T, STEP>(acc, x, step, weights);
}

// acc[t] += sum over taps and the block's channels; x: the first tap of the first pixel.
template <int W, int T, int STEP>
SKNET_INLINE void multiply_taps(Vec (&acc)[T], const float* x, int64_t row_stride, int64_t step, int kernel, int dilation,
                                const float* weights) {
  for (int kh = 0; kh < kernel; ++kh) {
    for (int kw = 0; kw < kernel; ++kw) {
      multiply_channel<W, 0, T, STEP>(acc, x + kh * dilation * row_stride + static_cast<int64_t>(kw) * dilation * kLanes, step, weights);
      weights += W * kLanes;
    }
  }
}

#if defined(__AVX512F__)
constexpr int kTiles[] = {14, 8, 7, 4, 2, 1};
#else
constexpr int kTiles[] = {8, 7, 4, 2, 1};
#endif

// Widest tile that divides `cols`; otherwise the widest that fits what is left.
inline int next_tile(int cols, int left) {
  for (const int t : kTiles) {
    if (cols % t == 0 && t > 2) return t;
  }
  for (const int t : kTiles) {
    if (t <= left) return t;
  }
  return 1;
}

// Calls f.template operator()<T>(col) for tiles that cover [0, cols).
template <class F>
inline void for_tiles(int cols, const F& f) {
  for (int col = 0; col < cols;) {
    const int t = next_tile(cols, cols - col);
    switch (t) {
#if defined(__AVX512F__)
      case 14:
        f.template operator()<14>(col);
        break;
#endif
      case 8:
        f.template operator()<8>(col);
        break;
      case 7:
        f.template operator()<7>(col);
        break;
      case 4:
        f.template operator()<4>(col);
        break;
      case 2:
        f.template operator()<2>(col);
        break;
      default:
        f.template operator()<1>(col);
        break;
    }
    col += t;
  }
}

// Calls f.template operator()<W>() with W = block_width(width).
template <class F>
inline void for_width(int width, const F& f) {
  switch (block_width(width)) {
    case 1:
      f.template operator()<1>();
      break;
    case 2:
      f.template operator()<2>();
      break;
#if defined(__AVX2__)
    case 4:
      f.template operator()<4>();
      break;
#endif
#if defined(__AVX512F__)
    case 8:
      f.template operator()<8>();
      break;
#endif
    default:
      f.template operator()<kLanes>();
      break;
  }
}

// ---- weight gradient of one block: acc[tap][j] += sum over pixels of x's channel j times dy's lane

// Taps handled together, so that TB * W accumulators fit the registers.
template <int W>
constexpr int tap_batch() {
  return W == 1 ? 9 : W == 2 ? 6 : W == 4 ? (kLanes == 16 ? 3 : 2) : 1;
}

template <int W, int J>
SKNET_INLINE void gradient_channel(Vec (&acc)[W], const float* x, Vec dy) {
  if constexpr (W == kLanes) {
    acc[J] += set1(x[J]) * dy;
  } else {
    acc[J] += group_channel<W, J>(load(x)) * dy;
  }
  if constexpr (J + 1 < W) gradient_channel<W, J + 1>(acc, x, dy);
}

// What a weight gradient runs over. x: a plane at its first tap for output (0, 0). dy: a plane at output (0, 0), with the floats between
// its rows and between its pixels (more than kLanes where the plane is spread out by a stride).
struct GradientPlanes {
  const float* x;
  int64_t x_row;
  int stride, kernel, dilation;
  const float* dy;
  int64_t dy_row, dy_step;
  int rows, cols;  // output
};

// gradient: [taps][W][kLanes], added to.
template <int W, int TB>
SKNET_INLINE void gradient_batch(const GradientPlanes& p, int tap0, float* gradient) {
  Vec acc[TB][W];
#pragma GCC unroll 16
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 16
    for (int j = 0; j < W; ++j) acc[b][j] = Vec{};
  }
  int64_t offset[TB];
  for (int b = 0; b < TB; ++b) {
    const int tap = tap0 + b;
    offset[b] = tap / p.kernel * p.dilation * p.x_row + static_cast<int64_t>(tap % p.kernel) * p.dilation * kLanes;
  }
  for (int row = 0; row < p.rows; ++row) {
    const float* xr = p.x + static_cast<int64_t>(row) * p.stride * p.x_row;
    const float* dr = p.dy + row * p.dy_row;
    for (int col = 0; col < p.cols; ++col) {
      const Vec d = load(dr + col * p.dy_step);
      const float* xc = xr + static_cast<int64_t>(col) * p.stride * kLanes;
#pragma GCC unroll 16
      for (int b = 0; b < TB; ++b) gradient_channel<W, 0>(acc[b], xc + offset[b], d);
    }
  }
#pragma GCC unroll 16
  for (int b = 0; b < TB; ++b) {
#pragma GCC unroll 16
    for (int j = 0; j < W; ++j) {
      float* g = gradient + (static_cast<int64_t>(tap0 + b) * W + j) * kLanes;
      store(g, load(g) + acc[b][j]);
    }
  }
}

template <int W>
inline void gradient_taps(const GradientPlanes& p, float* gradient) {
  constexpr int kBatch = tap_batch<W>();
  const int taps = p.kernel * p.kernel;
  int tap = 0;
  for (; tap + kBatch <= taps; tap += kBatch) gradient_batch<W, kBatch>(p, tap, gradient);
  for (; tap < taps; ++tap) gradient_batch<W, 1>(p, tap, gradient);
}

// ---- one row of output from several planes

struct TapSource {
  const float* x;      // first tap of the row's first pixel
  int64_t row_stride;  // floats between plane rows
  int64_t step;        // floats between output pixels' inputs
  int kernel, dilation;
  const float* weights;  // packed, of this plane's block
};

template <int W, int STEP, class Finish>
SKNET_INLINE void convolve_row_step(const TapSource* sources, int count, int cols, const Finish& finish) {
  for_tiles(cols, [&]<int T>(int col) {
    Vec acc[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) acc[t] = Vec{};
    for (int i = 0; i < count; ++i) {
      const TapSource& s = sources[i];
      multiply_taps<W, T, STEP>(acc, s.x + col * s.step, s.row_stride, s.step, s.kernel, s.dilation, s.weights);
    }
    finish.template operator()<T>(col, acc);
  });
}

// finish<T>(col, acc) gets each tile's sums over all sources, which have their step in common.
template <int W, class Finish>
SKNET_INLINE void convolve_row(const TapSource* sources, int count, int cols, const Finish& finish) {
  if (sources[0].step == kLanes) {
    convolve_row_step<W, 1>(sources, count, cols, finish);
  } else {
    convolve_row_step<W, 0>(sources, count, cols, finish);
  }
}

// y[t] = acc[t] + add[t]; a null add: nothing.
template <int T>
SKNET_INLINE void store_pixels(const Vec (&acc)[T], Elem* y, const Elem* add) {
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) store(y + t * kLanes, add == nullptr ? acc[t] : acc[t] + load(add + t * kLanes));
}

// First input (or, backward, output) block that `block` reads.
constexpr int first_block(int width, int block) { return width > kLanes ? block / group_blocks(width) * group_blocks(width) : block; }

// Images are cut into chunks for weight gradients, so that chunks x blocks gives enough items: from the shape alone.
constexpr int image_chunks(int n, int blocks) { return min_of(n, ceil_div(kMinItems, blocks)); }

// The plane that backward_data reads: dy spread by the stride, with room for all taps. Output (0, 0) stands at (lead, lead).
constexpr int backward_lead(const Conv2dProblem& p) { return (p.kernel - 1) * p.dilation - p.padding; }
constexpr int backward_rows(const Conv2dProblem& p) { return p.h + (p.kernel - 1) * p.dilation; }
constexpr int backward_cols(const Conv2dProblem& p) { return p.w + (p.kernel - 1) * p.dilation; }

}  // namespace
}  // namespace sknet::cpu
