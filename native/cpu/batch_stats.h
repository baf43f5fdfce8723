// Mean and sum of squared deviations per channel of blocked activations: two passes over each piece while it is in cache, pieces merged in
// float64 (Chan, Golub, LeVeque 1979). Exact where the mean is large against the spread, unlike sums of squares.
#pragma once

#include "core/thread_pool.h"
#include "cpu/row_chunks.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

inline PixelChunks batch_stats_chunks(int n, int hw, int channels) {
  constexpr int kPiecePixels = 512 * 16 / kLanes;  // 32 KiB of float32
  return pixel_chunks(static_cast<int64_t>(n) * blocks_in(channels, kLanes), hw, kPiecePixels);
}

inline size_t batch_stats_workspace(int n, int hw, int channels) {
  const int64_t planes = static_cast<int64_t>(n) * blocks_in(channels, kLanes);
  return sizeof(double) * static_cast<size_t>(planes * batch_stats_chunks(n, hw, channels).count * 2 * kLanes);
}

// Sum of f(vector) over `pixels` of one plane.
template <class F>
inline WideSum sum_pixels(const Elem* x, int pixels, const F& f) {
  WideSum total;
  for (int p0 = 0; p0 < pixels; p0 += kRun) {
    const int p1 = min_of(pixels, p0 + kRun);
    Vec s0{}, s1{}, s2{}, s3{};  // four, to hide the latency of an addition
    int p = p0;
    for (; p + 4 <= p1; p += 4) {
      const Elem* at = x + static_cast<int64_t>(p) * kLanes;
      s0 += f(load(at));
      s1 += f(load(at + kLanes));
      s2 += f(load(at + 2 * kLanes));
      s3 += f(load(at + 3 * kLanes));
    }
    for (; p < p1; ++p) s0 += f(load(x + static_cast<int64_t>(p) * kLanes));
    total.add((s0 + s1) + (s2 + s3));
  }
  return total;
}

// emit(channel, mean, sum of squared deviations) in float64, called in parallel for every channel, the padded ones too.
// partial: batch_stats_workspace() bytes.
template <class Emit>
inline void batch_stats(ThreadPool& pool, const Elem* u, int n, int hw, int channels, double* partial, const Emit& emit) {
  const int blocks = blocks_in(channels, kLanes);
  const PixelChunks chunks = batch_stats_chunks(n, hw, channels);
  const auto piece_pixels = [=](int piece) { return min_of(hw - piece * chunks.size, chunks.size); };
  parallel_for(pool, static_cast<int64_t>(n) * blocks * chunks.count, [&](int64_t item, int) {
    const int piece = static_cast<int>(item % chunks.count), pixels = piece_pixels(piece);
    const Elem* x = u + (item / chunks.count * hw + static_cast<int64_t>(piece) * chunks.size) * kLanes;
    double *out = partial + item * 2 * kLanes, *squares = out + kLanes;
    float rounded[kLanes];  // means, as the pixels' deviations are taken from
    sum_pixels(x, pixels, [](Vec v) { return v; }).store_to(out);
    for (int lane = 0; lane < kLanes; ++lane) {
      out[lane] /= pixels;
      rounded[lane] = static_cast<float>(out[lane]);
    }
    const Vec mean = load(rounded);
    sum_pixels(x, pixels, [&](Vec v) { return (v - mean) * (v - mean); }).store_to(squares);
    for (int lane = 0; lane < kLanes; ++lane) {
      const double off = rounded[lane] - out[lane];
      const double exact = squares[lane] - pixels * off * off;
      squares[lane] = exact < 0 ? 0 : exact;
    }
  });
  parallel_for(pool, blocks, [&](int64_t block, int) {
    double mean[kLanes] = {}, squares[kLanes] = {};
    double count = 0;
    for (int image = 0; image < n; ++image) {
      const double* pieces = partial + (static_cast<int64_t>(image) * blocks + block) * chunks.count * 2 * kLanes;
      for (int piece = 0; piece < chunks.count; ++piece) {
        const double* from = pieces + static_cast<int64_t>(piece) * 2 * kLanes;
        const double pixels = piece_pixels(piece), share = pixels / (count + pixels);
        for (int lane = 0; lane < kLanes; ++lane) {
          const double delta = from[lane] - mean[lane];
          mean[lane] += delta * share;
          squares[lane] += from[kLanes + lane] + delta * delta * count * share;
        }
        count += pixels;
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) emit(static_cast<int>(block) * kLanes + lane, mean[lane], squares[lane]);
  });
}

}  // namespace
}  // namespace sknet::cpu
