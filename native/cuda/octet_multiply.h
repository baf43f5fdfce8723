// The products of octet_tile.h on the tensor cores. A warp loads two rows of pixels at a time and multiplies them with every tap that they
// meet, so that the addresses are constants and shared memory is read a few times instead of once a tap. Registers of a fragment must
// follow each other, so rows meet in pairs: results in pairs that begin with an even row, and with dilation 1 the pairs of the source that
// begin with an odd row serve the outer taps, those with an even row the middle ones.
#pragma once

#include "core/exec.h"
#include "cuda/octet_tile.h"

namespace sknet::cuda::octets {

__device__ __forceinline__ int lane_of() { return static_cast<int>(threadIdx.x) & 31; }
__device__ __forceinline__ int warp_of() { return static_cast<int>(threadIdx.x) >> 5; }

// A warp's part of a tile's results: 8 rows of one octet in a patch, or, for wide groups, 4 rows of two octets. Its sums are four
// fragments of two rows by one octet.
template <bool kWide>
struct Job {
  static constexpr int kRowsEach = kWide ? 4 : 8, kOuts = kWide ? 2 : 1;
  static constexpr int kGroups = kWide ? 4 : 2;        // warps that share an octet
  static constexpr int kItems = (kWide ? 9 : 3) * 32;  // packed weights, 16 bytes each, of kOuts octets
  int octet, patch, first_row, group;
  __device__ __forceinline__ Job() {
    const int warp = warp_of();
    patch = warp >> 2;
    octet = kWide ? (warp & 1) * 2 : warp & 3;
    first_row = kWide ? (warp >> 1 & 1) * 4 : 0;
    group = kWide ? warp >> 1 : patch;
  }
  __device__ __forceinline__ static int row_of(int fragment) { return kWide ? (fragment >> 1) * 2 : fragment * 2; }
  __device__ __forceinline__ static int out_of(int fragment) { return kWide ? fragment & 1 : 0; }
  // Byte of the job's first pixel in a tile.
  __device__ __forceinline__ int at() const {
    return (first_row + kHalo) * kRowBytes + (patch * kPatch + kHalo) * kPixelBytes + octet * 16;
  }
};

// Adds one branch. from: the job's first pixel. weights: the lane's first item; narrow: a row of taps each, wide: a tap each.
template <bool kWide, int kDilation>
__device__ __forceinline__ void multiply(const char* from, const uint4* weights, float (&sum)[4][4]) {
  constexpr int D = kDilation, kEnd = Job<kWide>::kRowsEach, kStep = D == 1 ? 1 : 2;
  const int matrix = lane_of() >> 3, pixel = lane_of() & 7;
  const char* at =
      from + (matrix & 1) * kRowBytes + (kWide ? pixel * kPixelBytes + (matrix >> 1) * 16 : (pixel - (matrix < 2 ? D : 0)) * kPixelBytes);
#pragma unroll
  for (int kx = 0; kx < (kWide ? 3 : 1); ++kx) {
    uint4 w[3];
#pragma unroll
    for (int ky = 0; ky < 3; ++ky) w[ky] = __ldg(weights + (kWide ? ky * 3 + kx : ky) * 32);
#pragma unroll
    for (int r = -D; r <= kEnd - 2 + D; r += kStep) {
      uint32_t quad[4], right[2];
      if constexpr (kWide) {
        ldmatrix_x4(quad, at + r * kRowBytes + (kx - 1) * D * kPixelBytes);
      } else {
        ldmatrix_x4(quad, at + r * kRowBytes);  // the left and the middle column
        ldmatrix_x2(right, at + r * kRowBytes + 2 * D * kPixelBytes);
      }
#pragma unroll
      for (int ky = 0; ky < 3; ++ky) {
        const int out = r - (ky - 1) * D;
        if (out < 0 || out >= kEnd || out % 2 != 0) continue;
        const uint32_t low[2] = {w[ky].x, w[ky].y};
        if constexpr (kWide) {
          const uint32_t high[2] = {w[ky].z, w[ky].w};
          mma_16816(sum[out], quad, low);
          mma_16816(sum[out + 1], quad, high);
        } else {
          const uint32_t last[1] = {w[ky].z};
          mma_16816(sum[out / 2], quad, low);
          mma_1688(sum[out / 2], right, last);
        }
      }
    }
  }
}

template <bool kWide>
__device__ __forceinline__ void multiply(int dilation, const char* from, const uint4* weights, float (&sum)[4][4]) {
  if (dilation == 1) {
    multiply<kWide, 1>(from, weights, sum);
  } else {
    multiply<kWide, 2>(from, weights, sum);
  }
}

// Sums of a branch's gradient of the weights into one octet: fragments of 16 by 8, channels of output across. Down, wide: the channels of
// input at a tap each. Narrow: the octet at two taps: left and middle of each row; right of the first and the last row; right of the middle
// row and nothing.
template <bool kWide>
inline constexpr int kReduceSums = kWide ? 9 : 5;

// x: the patch's first pixel and first octet of input, du: the same of output.
template <bool kWide, int kDilation>
__device__ __forceinline__ void reduce(const char* x, const char* du, float (&sum)[kReduceSums<kWide>][4]) {
  constexpr int D = kDilation, kStep = D == 1 ? 1 : 2;
  const int matrix = lane_of() >> 3, pixel = lane_of() & 7, lower = (matrix >> 1) * kRowBytes + pixel * kPixelBytes;
  uint32_t g[2][4];
#pragma unroll
  for (int i = 0; i < 2; ++i) ldmatrix_x4_trans(g[i], du + (4 * i + matrix) * kRowBytes + pixel * kPixelBytes);
  const auto add = [&](float(&to)[4], const uint32_t(&quad)[4], int row) {
    const uint32_t pair[2] = {g[row / 4][row % 4], g[row / 4][row % 4 + 1]};
    mma_16816(to, quad, pair);
  };
  const char* at = x + lower + (kWide ? (matrix & 1) * 16 : (matrix & 1) * D * kPixelBytes - D * kPixelBytes);
#pragma unroll
  for (int kx = 0; kx < (kWide ? 3 : 1); ++kx) {
#pragma unroll
    for (int r = -D; r <= kRows - 2 + D; r += kStep) {
      uint32_t quad[4];
      ldmatrix_x4_trans(quad, at + r * kRowBytes + (kWide ? (kx - 1) * D * kPixelBytes : 0));
#pragma unroll
      for (int ky = 0; ky < 3; ++ky) {
        const int row = r - (ky - 1) * D;
        if (row >= 0 && row < kRows && row % 2 == 0) add(sum[kWide ? ky * 3 + kx : ky], quad, row);
      }
    }
  }
  if constexpr (!kWide) {
    const char *middle = x + lower + D * kPixelBytes, *outer = middle + (matrix & 1) * 2 * D * kRowBytes;
#pragma unroll
    for (int row = 0; row < kRows; row += 2) {
      uint32_t quad[4];
      ldmatrix_x4_trans(quad, outer + (row - D) * kRowBytes);
      add(sum[3], quad, row);
      ldmatrix_x4_trans(quad, middle + row * kRowBytes);
      add(sum[4], quad, row);
    }
  }
}

template <bool kWide>
__device__ __forceinline__ void reduce(int dilation, const char* x, const char* du, float (&sum)[kReduceSums<kWide>][4]) {
  if (dilation == 1) {
    reduce<kWide, 1>(x, du, sum);
  } else {
    reduce<kWide, 2>(x, du, sum);
  }
}

// Items of packed weights, 16 bytes each, of a branch.
inline int64_t branch_items(const Plan& p) {
  return p.wide() ? static_cast<int64_t>(p.channels / 16) * Job<true>::kItems : p.channels / 8 * Job<false>::kItems;
}
inline size_t packed_bytes(const SkSplitProblem& p) { return 16 * kBranches * static_cast<size_t>(branch_items(plan(p, 1))); }

// One branch's packed weights from OIHW, a lane a number. transposed: the output of the product is the convolution's input, taps are seen
// from there.
static __global__ void __launch_bounds__(256)
    pack_octets(const float* weight, bf16* packed, int64_t size, int c, int width, bool wide, bool transposed) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int half = static_cast<int>(i % 2), part = static_cast<int>(i / 2 % 4), lane = static_cast<int>(i / 8 % 32);
  const int64_t item = i / 256;
  const int items = wide ? 9 : 3, own = static_cast<int>(item / items), of_own = static_cast<int>(item % items);
  int to = lane / 4, from = lane % 4 * 2 + half, tap;
  if (wide) {
    to += own * 16 + part / 2 * 8;
    from += own * 16 + part % 2 * 8;
    tap = of_own;
  } else {
    to += own * 8;
    from += own * 8;
    tap = of_own * 3 + part;
  }
  const bool real = (wide || part < 3) && to < c && from < c && to / width == from / width;
  const int o = transposed ? from : to, in = transposed ? to : from;
  packed[i] = real ? to_bf(weight[(static_cast<int64_t>(o) * width + in % width) * 9 + (transposed ? 8 - tap : tap)]) : bf16{0};
}

inline void pack_branches(const SkSplitProblem& p, const float* const* weight, bool transposed, const Exec& exec) {
  const Plan g = plan(p, 1);
  const int64_t size = branch_items(g) * 8;
  for (int m = 0; m < kBranches; ++m) {
    SIMT_LAUNCH(pack_octets, static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, weight[m],
                reinterpret_cast<bf16*>(exec.packed) + m * size, size, p.conv[0].c, g.width, g.wide(), transposed);
  }
}

}  // namespace sknet::cuda::octets
