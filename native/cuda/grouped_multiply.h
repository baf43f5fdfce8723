// The multiplications of grouped convolutions on a tile in shared memory: one branch's taps over the pixels of a block. bfloat16 on tensor
// cores, 16 channels (a slab) a time with zeros where input and output belong to different groups; float32 on the ordinary cores, 4
// channels (a quad) a time.
#pragma once

#include "cuda/grouped_plan.h"

namespace sknet::cuda {

// Summed channels of one product.
template <class Elem>
inline constexpr int kPart = sizeof(Elem) == 2 ? kSlab : 4;
template <class Elem>
__host__ __device__ constexpr int parts_of(int width) {
  return width > kPart<Elem> ? width / kPart<Elem> : 1;
}
// Elements that a branch's packed weights take: [part of the output][tap][part of the input][kPart * kPart].
template <class Elem>
__host__ __device__ constexpr int64_t packed_branch(int channels, int width, int kernel) {
  return static_cast<int64_t>(ceil_div(channels, kPart<Elem>)) * kernel * kernel * parts_of<Elem>(width) * kPart<Elem> * kPart<Elem>;
}

// Steps through (tap, part); the next weights are fetched one step ahead.
template <class Elem>
struct TapWalk {
  const ConvAxis& h;
  const ConvAxis& w;
  int kernel, parts, i = 0, j = 0, part = 0;
  __device__ __forceinline__ TapWalk(const ConvAxis& h, const ConvAxis& w, int kernel, int parts)
      : h(h), w(w), kernel(kernel), parts(parts) {}
  __device__ __forceinline__ int steps() const { return h.taps * w.taps * parts; }
  __device__ __forceinline__ int weights() const {
    return ((h.first_tap + i * h.tap_step) * kernel + w.first_tap + j * w.tap_step) * parts + part;
  }
  __device__ __forceinline__ void next() {
    if (++part < parts) return;
    part = 0;
    if (++j < w.taps) return;
    j = 0;
    ++i;
  }
};

template <class Elem, int kSlabs>
struct GroupedMultiply;

// A warp has one slab and kSlabs patches.
template <int kSlabs>
struct GroupedMultiply<bf16, kSlabs> {
  static constexpr int kStaging = 20 * kPatchPixels * static_cast<int>(sizeof(float));  // bytes a warp
  static constexpr int groups_of(int threads) { return threads / 32 / kSlabs; }
  float sum[kSlabs][2][4];

  __device__ __forceinline__ static int warp() { return static_cast<int>(threadIdx.x) >> 5; }
  __device__ __forceinline__ static int slab() { return warp() % kSlabs; }
  __device__ __forceinline__ static int group() { return warp() / kSlabs; }
  __device__ __forceinline__ static int groups() { return static_cast<int>(blockDim.x) / 32 / kSlabs; }
  // The first of the channels that drain() gives to this lane; one lane a group and chunk leads.
  __device__ __forceinline__ static int channel() { return slab() * kSlab + (static_cast<int>(threadIdx.x) & 1) * 8; }
  __device__ __forceinline__ static bool leads() { return (threadIdx.x & 31) < 2; }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int r = 0; r < kSlabs; ++r) {
#pragma unroll
      for (int i = 0; i < 8; ++i) sum[r][i / 4][i % 4] = 0;
    }
  }

  __device__ __forceinline__ void branch(const GroupedPlan& g, int m, int phase_h, int phase_w, const char* tile, const bf16* weights,
                                         int c0) {
    constexpr int kPitchBytes = pixel_pitch<bf16>(kSlabs);
    const int lane = static_cast<int>(threadIdx.x) & 31, parts = parts_of<bf16>(g.width);
    TapWalk<bf16> walk(g.h[m][phase_h], g.w[m][phase_w], g.kernel[m], parts);
    const int steps = walk.steps(), across = g.tile_w / kPatchW, step = walk.h.step;
    const char* from[kSlabs];
#pragma unroll
    for (int r = 0; r < kSlabs; ++r) {
      const int patch = group() * kSlabs + r, y = patch / across * 2 + (lane >> 3 & 1), x = patch % across * kPatchW + (lane & 7);
      from[r] = tile + (y * step * g.span_w + x * step) * kPitchBytes + (lane >> 4) * 16 + slab() / parts * parts * kSlab * 2;
    }
    const uint4* of_slab =
        reinterpret_cast<const uint4*>(weights) + static_cast<int64_t>(c0 / kSlab + slab()) * g.kernel[m] * g.kernel[m] * parts * 32 + lane;
    if (c0 + slab() * kSlab >= g.channels) return;
    uint4 next = steps > 0 ? __ldg(of_slab + walk.weights() * 32) : uint4{};
    for (int n = 0; n < steps; ++n) {
      const uint4 now = next;
      const int row = walk.h.base - g.low_h[phase_h] + walk.i * walk.h.reach, col = walk.w.base - g.low_w[phase_w] + walk.j * walk.w.reach;
      const int at = (row * g.span_w + col) * kPitchBytes + walk.part * kSlab * 2;
      walk.next();
      if (n + 1 < steps) next = __ldg(of_slab + walk.weights() * 32);
      const uint32_t left[2] = {now.x, now.y}, right[2] = {now.z, now.w};
#pragma unroll
      for (int r = 0; r < kSlabs; ++r) {
        uint32_t a[4];
        ldmatrix_x4(a, from[r] + at);
        mma_16816(sum[r][0], a, left);
        mma_16816(sum[r][1], a, right);
      }
    }
  }

  // Calls first(values) once with the values that distances may be taken from, then each(row, col, values) for this lane's pixels of the
  // tile, the chunk of channels from channel() on.
  template <class First, class Each>
  __device__ __forceinline__ void drain(const GroupedPlan& g, char* staging, const First& first, const Each& each) const {
    const int lane = static_cast<int>(threadIdx.x) & 31, across = g.tile_w / kPatchW, channel = (lane & 1) * 8;
    float* mine = reinterpret_cast<float*>(staging + warp() * kStaging);
#pragma unroll
    for (int r = 0; r < kSlabs; ++r) {
      float* put = mine + (lane >> 2) * 20 + (lane & 3) * 2;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        *reinterpret_cast<float2*>(put + half * 8) = float2{sum[r][half][0], sum[r][half][1]};
        *reinterpret_cast<float2*>(put + half * 8 + 8 * 20) = float2{sum[r][half][2], sum[r][half][3]};
      }
      __syncwarp();
      if (r == 0) first(mine + channel);
      const int pixel = lane >> 1, patch = group() * kSlabs + r;
      float v[8];
      load_chunk(mine + pixel * 20 + channel, *reinterpret_cast<float(*)[4]>(v));
      load_chunk(mine + pixel * 20 + channel + 4, *reinterpret_cast<float(*)[4]>(v + 4));
      each(patch / across * 2 + (pixel >> 3), patch % across * kPatchW + (pixel & 7), v);
      __syncwarp();
    }
  }

  // Pixels of this lane's group among the first `rows` rows and `cols` columns of the tile.
  __device__ __forceinline__ static int pixels(const GroupedPlan& g, int rows, int cols) {
    const int across = g.tile_w / kPatchW;
    int count = 0;
    for (int r = 0; r < kSlabs; ++r) {
      const int patch = group() * kSlabs + r, h = rows - patch / across * 2, w = cols - patch % across * kPatchW;
      count += (h < 0 ? 0 : h > 2 ? 2 : h) * (w < 0 ? 0 : w > kPatchW ? kPatchW : w);
    }
    return count;
  }

  // Adds the lanes' sums of one group up: put(number 0 or 1, channel, total) for each of its channels.
  template <class State, class Put>
  __device__ __forceinline__ static void add_up(const State& s, const Put& put) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    float v[16];
#pragma unroll
    for (int q = 0; q < 8; ++q) {
      v[q] = s.sum[q];
      v[8 + q] = s.dot[q];
    }
    // Each step halves what a lane answers for.
#pragma unroll
    for (int half = 8; half > 0; half /= 2) {
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const bool upper = lane & half * 2;
        const float sent = upper ? v[i] : v[i + half], kept = upper ? v[i + half] : v[i];
        v[i] = kept + __shfl_xor_sync(~0u, sent, half * 2);
      }
    }
    const int index = lane >> 1;
    put(index >> 3, channel() + (index & 7), v[0]);
  }
};

// A lane has one quad and 2 * kSlabs pixels.
template <int kSlabs>
struct GroupedMultiply<float, kSlabs> {
  static constexpr int kQuads = kSlabs * kSlab / 4, kPixels = 2 * kSlabs;
  static constexpr int kStaging = 0;
  static constexpr int groups_of(int threads) { return threads / kQuads; }
  float sum[kPixels][4];

  __device__ __forceinline__ static int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  __device__ __forceinline__ static int group() { return static_cast<int>(threadIdx.x) / kQuads; }
  __device__ __forceinline__ static int groups() { return static_cast<int>(blockDim.x) / kQuads; }
  __device__ __forceinline__ static int channel() { return quad() * 4; }
  __device__ __forceinline__ static bool leads() { return true; }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int r = 0; r < kPixels; ++r) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[r][i] = 0;
    }
  }

  __device__ __forceinline__ void branch(const GroupedPlan& g, int m, int phase_h, int phase_w, const char* tile, const float* weights,
                                         int c0) {
    constexpr int kPitchBytes = pixel_pitch<float>(kSlabs);
    const int parts = parts_of<float>(g.width);
    TapWalk<float> walk(g.h[m][phase_h], g.w[m][phase_w], g.kernel[m], parts);
    const int steps = walk.steps(), step = walk.h.step;
    const char* from[kPixels];
#pragma unroll
    for (int r = 0; r < kPixels; ++r) {
      const int pixel = group() + r * groups(), y = pixel / g.tile_w, x = pixel % g.tile_w;
      from[r] = tile + (y * step * g.span_w + x * step) * kPitchBytes + quad() / parts * parts * 16;
    }
    if (c0 + quad() * 4 >= g.channels) return;
    const float* of_quad = weights + static_cast<int64_t>(c0 / 4 + quad()) * g.kernel[m] * g.kernel[m] * parts * 16;
    for (int n = 0; n < steps; ++n) {
      const int row = walk.h.base - g.low_h[phase_h] + walk.i * walk.h.reach, col = walk.w.base - g.low_w[phase_w] + walk.j * walk.w.reach;
      const int at = (row * g.span_w + col) * kPitchBytes + walk.part * 16;
      float w[4][4];
#pragma unroll
      for (int o = 0; o < 4; ++o) load_vector(of_quad + walk.weights() * 16 + o * 4, w[o]);
      walk.next();
#pragma unroll
      for (int r = 0; r < kPixels; ++r) {
        float x[4];
        load_chunk(reinterpret_cast<const float*>(from[r] + at), x);
#pragma unroll
        for (int o = 0; o < 4; ++o) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[r][o] += w[o][i] * x[i];
        }
      }
    }
  }

  template <class First, class Each>
  __device__ __forceinline__ void drain(const GroupedPlan& g, char*, const First& first, const Each& each) const {
    first(sum[0]);
#pragma unroll
    for (int r = 0; r < kPixels; ++r) {
      const int pixel = group() + r * groups();
      float v[4] = {sum[r][0], sum[r][1], sum[r][2], sum[r][3]};
      each(pixel / g.tile_w, pixel % g.tile_w, v);
    }
  }

  __device__ __forceinline__ static int pixels(const GroupedPlan& g, int rows, int cols) {
    int count = 0;
    for (int r = 0; r < kPixels; ++r) {
      const int pixel = group() + r * groups();
      count += pixel / g.tile_w < rows && pixel % g.tile_w < cols;
    }
    return count;
  }

  template <class State, class Put>
  __device__ __forceinline__ static void add_up(const State& s, const Put& put) {
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      put(0, quad() * 4 + q, s.sum[q]);
      put(1, quad() * 4 + q, s.dot[q]);
    }
  }
};

}  // namespace sknet::cuda
