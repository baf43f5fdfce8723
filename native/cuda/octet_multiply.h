// The products of octet_tile.h on the tensor cores. A warp loads two rows of pixels at a time and multiplies them with every tap that they
// meet, so that the addresses are constants and shared memory is read a few times instead of once a tap. Registers of a fragment must
// follow each other, so rows meet in pairs: results in pairs that begin with an even row, and with dilation 1 the pairs of the source that
// begin with an odd row serve the outer taps, those with an even row the middle ones.
#pragma once

#include "cuda/octet_tile.h"

namespace sknet::cuda::octets {

__device__ __forceinline__ int lane_of() { return static_cast<int>(threadIdx.x) & 31; }
__device__ __forceinline__ int warp_of() { return static_cast<int>(threadIdx.x) >> 5; }

// A warp's part of a tile's results: rows of one octet in a patch or, for wide groups, of two octets. Its sums are fragments of two rows by
// one octet. kEachBranch: where there is one patch, half of the warps have a branch each; else all warps have both.
template <class Shape, bool kEachBranch>
struct Job {
  static constexpr int kOuts = Shape::kOuts, kOctetSets = kOctets / kOuts;
  static constexpr int kBranchParts = kEachBranch ? kBranches / Shape::kPatches : 1;
  static constexpr int kRowParts = kWarps / (kOctetSets * Shape::kPatches * kBranchParts), kRowsEach = kRows / kRowParts;
  static constexpr int kFragments = kRowsEach / 2 * kOuts;
  static constexpr int kGroups = kRowParts * Shape::kPatches;  // warps that share an octet of a branch
  int octet, patch, first_row, group, first_branch;
  __device__ __forceinline__ Job() {
    const int rest = warp_of() / kOctetSets, part = rest / kRowParts;
    octet = warp_of() % kOctetSets * kOuts;
    first_row = rest % kRowParts * kRowsEach;
    patch = kBranchParts == 1 ? part : 0;
    first_branch = kBranchParts == 1 ? 0 : part;
    group = patch * kRowParts + rest % kRowParts;
  }
  __device__ __forceinline__ static int row_of(int fragment) { return fragment / kOuts * 2; }
  __device__ __forceinline__ static int out_of(int fragment) { return fragment % kOuts; }
  // Byte of the job's first pixel, and of its group's first octet, in a window.
  template <class Source>
  __device__ __forceinline__ int at() const {
    return first_row * Source::kStep * Source::kRowBytes + patch * kPatch * kPixelBytes + octet / Shape::kSpan * Shape::kSpan * 16;
  }
};

// The row of results, which is even, that meets row r of the source by a tap's row; -1: none.
__host__ __device__ constexpr int met(int r, int ky, int dilation, int step, int rows) {
  const int from = r - (ky - 1) * dilation;
  return from >= 0 && from % (2 * step) == 0 && from / step < rows ? from / step : -1;
}

// Adds one branch. from: Job::at(). weights: the lane's first item; narrow: a row of taps each, wide: a tap each, for each pair of octets.
template <int kSpan, class Source, int kDilation, int kFragments>
__device__ __forceinline__ void multiply(const char* from, const uint4* weights, float (&sum)[kFragments][4]) {
  constexpr bool kWide = kSpan > 1;
  constexpr int D = kDilation, kStep = Source::kStep, kEnd = kFragments / (kWide ? 2 : 1) * 2, kHalves = kSpan > 2 ? kSpan / 2 : 1;
  const int matrix = lane_of() >> 3, pixel = lane_of() & 7;
  const char* at = from + (matrix & 1) * kStep * Source::kRowBytes + pixel * kPixelBytes +
                   (kWide ? (matrix >> 1) * 16 : Source::at(0, matrix < 2 ? -D : 0));
#pragma unroll
  for (int part = 0; part < (kWide ? 3 * kHalves : 1); ++part) {
    const int half = part / 3, kx = part % 3;
    uint4 w[3];
#pragma unroll
    for (int ky = 0; ky < 3; ++ky) w[ky] = __ldg(weights + (kWide ? half * 9 + ky * 3 + kx : ky) * 32);
#pragma unroll
    for (int r = -D; r <= (kEnd - 2) * kStep + D; ++r) {
      if (met(r, 0, D, kStep, kEnd) < 0 && met(r, 1, D, kStep, kEnd) < 0 && met(r, 2, D, kStep, kEnd) < 0) continue;
      uint32_t quad[4], right[2];
      if constexpr (kWide) {
        ldmatrix_x4(quad, at + Source::at(r, (kx - 1) * D) + half * 32);
      } else {
        ldmatrix_x4(quad, at + r * Source::kRowBytes);  // the left and the middle column
        ldmatrix_x2(right, at + r * Source::kRowBytes + Source::at(0, D) - Source::at(0, -D));
      }
#pragma unroll
      for (int ky = 0; ky < 3; ++ky) {
        const int out = met(r, ky, D, kStep, kEnd);
        if (out < 0) continue;
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

template <class Shape, class Source, int kFragments>
__device__ __forceinline__ void multiply(int dilation, const char* from, const uint4* weights, float (&sum)[kFragments][4]) {
  if (dilation == 1) {
    multiply<Shape::kSpan, Source, 1>(from, weights, sum);
  } else {
    multiply<Shape::kSpan, Source, 2>(from, weights, sum);
  }
}

// The transpose of dilation 1 and stride 2: each output adds to the inputs (2 row + kOdd, 2 col) and (2 row + kOdd, 2 col + 1) of the
// places that it reaches, so that these have sums of their own. An even row or column meets the middle tap alone, an odd one the first tap
// of its own place and the last one of the next. weights: seen from the input.
template <int kSpan, class Source, int kOdd, int kFragments>
__device__ __forceinline__ void spread(const char* from, const uint4* weights, float (&sum)[2][kFragments][4]) {
  constexpr bool kWide = kSpan > 1;
  constexpr int kOuts = kWide ? 2 : 1, kHalves = kSpan > 2 ? kSpan / 2 : 1;
  const int matrix = lane_of() >> 3, pixel = lane_of() & 7;
  const char* at =
      from + Source::at(0, 0) + (matrix & 1) * Source::kRowBytes + pixel * kPixelBytes + (matrix >> 1) * (kWide ? 16 : kPixelBytes);
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
#pragma unroll
    for (int below = 0; below <= kOdd; ++below) {
      const int ky = kOdd == 0 ? 1 : 2 * below;
#pragma unroll
      for (int pair = 0; pair < kFragments / kOuts; ++pair) {
        const char* row = at + (2 * pair + below) * Source::kRowBytes + half * 32;
        if constexpr (kWide) {
#pragma unroll
          for (int right = 0; right < 2; ++right) {
            uint32_t quad[4];
            ldmatrix_x4(quad, row + right * kPixelBytes);
#pragma unroll
            for (int odd = right; odd < 2; ++odd) {
              const uint4 tap = __ldg(weights + (half * 9 + ky * 3 + (odd == 0 ? 1 : 2 * right)) * 32);
              const uint32_t low[2] = {tap.x, tap.y}, high[2] = {tap.z, tap.w};
              mma_16816(sum[odd][2 * pair], quad, low);
              mma_16816(sum[odd][2 * pair + 1], quad, high);
            }
          }
        } else {
          const uint4 w = __ldg(weights + ky * 32);
          uint32_t quad[4];
          ldmatrix_x4(quad, row);  // its own and the next column
          const uint32_t own[2] = {quad[0], quad[1]}, middle[1] = {w.y}, outer[2] = {w.x, w.z};
          mma_1688(sum[0][pair], own, middle);
          mma_16816(sum[1][pair], quad, outer);
        }
      }
    }
  }
}

}  // namespace sknet::cuda::octets
