// Sources of the matrix product (gemm.h): what a convolution's summed dimension k is, and how a run of pixels is brought into
// [block of k][pixel][kLanes] form. One struct a way of reading.
#pragma once

#include "cpu/norm.h"
#include "ops/conv2d.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

// Where pixels are: images of `pixels` pixels; floats between images, blocks and pixels. To a 1x1 convolution without padding an [n, c]
// matrix counts as one image of n pixels; windows are told the image.
struct Grid {
  int images, pixels;
  int64_t image, block, pixel;
};

inline Grid grid_of(const Conv2dProblem& p, int hw, int channels) {
  const int64_t padded = padded_channels(channels, kLanes);
  if (hw == 1 && p.kernel == 1 && p.padding == 0) return {1, p.n, 0, kLanes, padded};
  return {p.n, hw, padded * hw, static_cast<int64_t>(hw) * kLanes, kLanes};
}

// Where a copy's blocks and pixels lie: blocks one after the other, or two and two with their pixels side by side, as AMX reads them.
struct BlockPlaces {
  int64_t block;  // operands of a block
  int pixel;      // operands from pixel to pixel: kLanes or 2 * kLanes
  int64_t at(int b) const { return pixel == kLanes ? b * block : b / 2 * 2 * block + b % 2 * kLanes; }
};

// ---- 1x1 without padding: k is the channel

// How a value is read: as it is, through a norm, or a gradient through BN's backward. prepare(block) gives a function of an offset.
struct PlainRead {
  const Elem* x;
  void prefetch(int64_t at) const { prefetch_line(x + at); }
  const Operand* direct() const {
    if constexpr (sizeof(Operand) == sizeof(Elem)) {
      return reinterpret_cast<const Operand*>(x);
    } else {
      return nullptr;
    }
  }
  auto prepare(int) const {
    return [x = x](int64_t at) { return load(x + at); };
  }
};

struct NormalizedRead {
  const Elem* x;
  void prefetch(int64_t at) const { prefetch_line(x + at); }
  Normalize norm;
  const Operand* direct() const { return nullptr; }
  auto prepare(int block) const {
    return [x = x, norm = normalize_at(norm, block * kLanes)](int64_t at) { return norm(load(x + at)); };
  }
};

struct GradientRead {
  const Elem* dz;
  NormGradient norm;
  void prefetch(int64_t at) const {
    prefetch_line(dz + at);
    prefetch_line(static_cast<const Elem*>(norm.u) + at);
  }
  const Operand* direct() const { return nullptr; }
  auto prepare(int block) const {
    return [dz = dz, u = static_cast<const Elem*>(norm.u), norm = norm_gradient_at(norm, block * kLanes)](int64_t at) {
      return norm(load(dz + at), load(u + at));
    };
  }
};

template <class Read>
struct PointSource {
  Read read;
  Grid grid;           // of what is read
  int out_cols, cols;  // width of the output and of what is read
  int stride, blocks;
  int64_t block_stride = grid.block;

  const Operand* direct(int image, int pixel) const {
    if (read.direct() == nullptr || stride != 1 || grid.pixel != kLanes) return nullptr;
    return read.direct() + image * grid.image + pixel * grid.pixel;
  }
  // Asks for what fill_blocks or the product will read.
  void prefetch(int image, int first, int count, int block0, int block1) const {
    if (stride != 1 || grid.pixel != kLanes) return;
    for (int b = block0; b < block1; ++b) {
      const int64_t base = image * grid.image + b * grid.block + first * grid.pixel;
      for (int64_t at = 0; at < static_cast<int64_t>(count) * kLanes; at += kLineElems) read.prefetch(base + at);
    }
  }
  static constexpr bool kAtOnce = false;
  void fill_blocks(int image, int first, int count, int block0, int count_blocks, Operand* to, BlockPlaces places) const {
    for (int b = block0; b < block0 + count_blocks; ++b) {
      Operand* dst = to + places.at(b - block0);
      const auto value = read.prepare(b);
      const int64_t base = image * grid.image + b * grid.block;
      if (stride == 1) {
        for (int p = first; p < first + count; ++p, dst += places.pixel) store(dst, value(base + p * grid.pixel));
      } else {
        for (int p = first; p < first + count; ++p, dst += places.pixel) {
          store(dst, value(base + (static_cast<int64_t>(p / out_cols) * cols + p % out_cols) * stride * grid.pixel));
        }
      }
    }
  }
};

// ---- k x k windows of blocked activations: k is (tap, channel)

template <class Read>
struct WindowSource {
  Read read;
  Conv2dProblem p;
  int64_t block_stride = 0;

  void prefetch(int, int, int, int, int) const {}
  const Operand* direct(int, int) const { return nullptr; }
  static constexpr bool kAtOnce = false;
  void fill_blocks(int image, int first, int count, int block0, int count_blocks, Operand* to, BlockPlaces places) const {
    const int blocks = blocks_in(p.c, kLanes);
    for (int k = block0; k < block0 + count_blocks; ++k) {
      Operand* dst = to + places.at(k - block0);
      const int tap = k / blocks, b = k % blocks;
      const int dh = tap / p.kernel * p.dilation - p.padding, dw = tap % p.kernel * p.dilation - p.padding;
      const auto value = read.prepare(b);
      const int64_t base = (static_cast<int64_t>(image) * blocks + b) * p.h * p.w * kLanes;
      for (int pixel = first; pixel < first + count; ++pixel, dst += places.pixel) {
        const int h = pixel / p.ow * p.stride + dh, w = pixel % p.ow * p.stride + dw;
        const bool inside = h >= 0 && h < p.h && w >= 0 && w < p.w;
        store(dst, inside ? value(base + (static_cast<int64_t>(h) * p.w + w) * kLanes) : Vec{});
      }
    }
  }
};

// ---- k x k windows of the network's input, float32 NHWC with few channels: k is (kernel row, kernel column, channel)

struct RowsSource {
  const float* x;
  Conv2dProblem p;
  int64_t block_stride = 0;

  static constexpr int kMostTaps = 512;  // k at most
  void prefetch(int, int, int, int, int) const {}
  const Operand* direct(int, int) const { return nullptr; }
  static constexpr bool kAtOnce = true;
  void fill_blocks(int image, int first, int count, int block0, int count_blocks, Operand* dst, BlockPlaces places) const {
    const int run = p.kernel * p.c;
    const float* rows = x + static_cast<int64_t>(image) * p.h * p.w * p.c;
    alignas(64) float window[kMostTaps + 2 * kLanes] = {};
    for (int pixel = first; pixel < first + count; ++pixel, dst += places.pixel) {
      const int h0 = pixel / p.ow * p.stride - p.padding, w0 = pixel % p.ow * p.stride - p.padding;
      const bool inside = w0 >= 0 && w0 + p.kernel <= p.w && p.dilation == 1;
      for (int kh = 0; kh < p.kernel; ++kh) {
        const int h = h0 + kh * p.dilation;
        float* to = window + kh * run;
        if (h < 0 || h >= p.h) {
          zero_floats(to, run);
        } else if (inside) {
          copy_floats(to, rows + (static_cast<int64_t>(h) * p.w + w0) * p.c, run);
        } else {
          for (int kw = 0; kw < p.kernel; ++kw) {
            const int w = w0 + kw * p.dilation;
            for (int c = 0; c < p.c; ++c) to[kw * p.c + c] = w >= 0 && w < p.w ? rows[(static_cast<int64_t>(h) * p.w + w) * p.c + c] : 0;
          }
        }
      }
      for (int b = 0; b < count_blocks; ++b) store(dst + places.at(b), load(window + (block0 + b) * kLanes));
    }
  }
};

// ---- backward_data of k x k: for an input pixel, the outputs that read it; k is (tap, output channel)

struct TransposedSource {
  const Elem* dy;
  Conv2dProblem p;
  int64_t block_stride = 0;

  void prefetch(int, int, int, int, int) const {}
  const Operand* direct(int, int) const { return nullptr; }
  void fill_blocks(int image, int first, int count, int block0, int count_blocks, Operand* to, BlockPlaces places) const {
    const int blocks = blocks_in(p.out, kLanes);
    for (int k = block0; k < block0 + count_blocks; ++k) {
      Operand* dst = to + places.at(k - block0);
      const int tap = k / blocks;
      const int dh = p.padding - tap / p.kernel * p.dilation, dw = p.padding - tap % p.kernel * p.dilation;
      const Elem* plane = dy + (static_cast<int64_t>(image) * blocks + k % blocks) * p.oh * p.ow * kLanes;
      for (int pixel = first; pixel < first + count; ++pixel, dst += places.pixel) {
        const int h = pixel / p.w + dh, w = pixel % p.w + dw;
        const bool hit = h >= 0 && w >= 0 && h % p.stride == 0 && w % p.stride == 0 && h / p.stride < p.oh && w / p.stride < p.ow;
        store(dst, hit ? load(plane + (static_cast<int64_t>(h / p.stride) * p.ow + w / p.stride) * kLanes) : Vec{});
      }
    }
  }
};

}  // namespace
}  // namespace sknet::cpu
