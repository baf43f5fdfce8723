// max_pool: forward takes a window's pixels a lane; in backward a pixel looks for the windows that chose it, so that every gradient is
// written once and nothing is added atomically.
#include "cuda/elem.h"
#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "ops/max_pool.h"

namespace sknet::cuda {
namespace {

// A pixel's chunk of channels of the input, through its batch norm where there is one, as it would come back from memory.
template <class Elem>
struct Reader {
  const Elem* x;
  Normalize norm;
  float scale[kChunk<Elem>] = {}, shift[kChunk<Elem>] = {};
  __device__ __forceinline__ void begin(int c) {
    if (norm.scale == nullptr) return;
    load_vector(norm.scale + c, scale);
    load_vector(norm.shift + c, shift);
  }
  __device__ __forceinline__ void read(int64_t at, float (&v)[kChunk<Elem>]) const {
    load_chunk(x + at, v);
    if (norm.scale == nullptr) return;
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      const float z = scale[q] * v[q] + shift[q];
      v[q] = as_stored<Elem>(norm.relu ? relu(z) : z);
    }
  }
};

template <class Elem>
__global__ void __launch_bounds__(kTileLanes) pool(MaxPoolProblem p, Reader<Elem> reader, Elem* y, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  reader.begin(lane.c);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int ow = static_cast<int>(row % p.ow), oh = static_cast<int>(row / p.ow % p.oh);
    const int64_t image = row / (static_cast<int64_t>(p.ow) * p.oh) * p.h;
    const int h0 = oh * p.stride - p.padding, w0 = ow * p.stride - p.padding;
    float best[kChunk<Elem>];
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) best[q] = -INFINITY;
    for (int h = max(h0, 0); h < min(h0 + p.kernel, p.h); ++h) {
      for (int w = max(w0, 0); w < min(w0 + p.kernel, p.w); ++w) {
        float v[kChunk<Elem>];
        reader.read(((image + h) * p.w + w) * t.channels + lane.c, v);
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) best[q] = best[q] >= v[q] || best[q] != best[q] ? best[q] : v[q];  // a NaN wins
      }
    }
    store_chunk(y + row * t.channels + lane.c, best);
  }
}

template <class Elem>
void forward(const MaxPoolProblem& p, const MaxPoolForwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.oh * p.ow, p.c);
  SIMT_LAUNCH(pool<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, p, Reader<Elem>{static_cast<const Elem*>(a.x), a.x_norm},
              static_cast<Elem*>(a.y), t);
}

// Of the lane's channels, as bits, those where no pixel of the window before (h, w) equals y.
template <class Elem>
__device__ __forceinline__ unsigned first_of_window(const MaxPoolProblem& p, const Reader<Elem>& reader, int64_t image, int h, int w,
                                                    int h0, int w0, int channels, int c, const float (&y)[kChunk<Elem>], unsigned equal) {
  for (int i = max(h0, 0); i <= h && equal != 0; ++i) {
    const int end = i == h ? w : min(w0 + p.kernel, p.w);
    for (int j = max(w0, 0); j < end; ++j) {
      float v[kChunk<Elem>];
      reader.read(((image + i) * p.w + j) * channels + c, v);
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) {
        if (v[q] == y[q]) equal &= ~(1u << q);
      }
    }
  }
  return equal;
}

template <class Elem>
__global__ void __launch_bounds__(kTileLanes, 3)
    unpool(MaxPoolProblem p, Reader<Elem> reader, const Elem* y, const Elem* dy, const Elem* add, Elem* dx, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  reader.begin(lane.c);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int w = static_cast<int>(row % p.w), h = static_cast<int>(row / p.w % p.h);
    const int64_t n = row / (static_cast<int64_t>(p.w) * p.h), at = row * t.channels + lane.c;
    float v[kChunk<Elem>], sum[kChunk<Elem>] = {};
    if (add != nullptr) load_chunk(add + at, sum);
    reader.read(at, v);
    // Windows oh with oh * stride - padding <= h < oh * stride - padding + kernel.
    const int oh_first = max(0, (h + p.padding - p.kernel + p.stride) / p.stride),
              ow_first = max(0, (w + p.padding - p.kernel + p.stride) / p.stride);
    for (int oh = oh_first; oh < p.oh && oh * p.stride - p.padding <= h; ++oh) {
      for (int ow = ow_first; ow < p.ow && ow * p.stride - p.padding <= w; ++ow) {
        const int64_t from = ((n * p.oh + oh) * p.ow + ow) * t.channels + lane.c;
        float largest[kChunk<Elem>], g[kChunk<Elem>];
        load_chunk(y + from, largest);
        unsigned equal = 0;
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) equal |= static_cast<unsigned>(v[q] == largest[q]) << q;
        equal = first_of_window(p, reader, n * p.h, h, w, oh * p.stride - p.padding, ow * p.stride - p.padding, t.channels, lane.c, largest,
                                equal);
        if (equal == 0) continue;
        load_chunk(dy + from, g);
#pragma unroll
        for (int q = 0; q < kChunk<Elem>; ++q) sum[q] += (equal >> q & 1) != 0 ? g[q] : 0.0f;
      }
    }
    store_chunk(dx + at, sum);
  }
}

template <class Elem>
void backward(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.h * p.w, p.c);
  SIMT_LAUNCH(unpool<Elem>, grid_of<Elem>(t), kTileLanes, 0, exec.stream, p, Reader<Elem>{static_cast<const Elem*>(a.x), a.x_norm},
              static_cast<const Elem*>(a.y), static_cast<const Elem*>(a.dy), static_cast<const Elem*>(a.add), static_cast<Elem*>(a.dx), t);
}

}  // namespace

const MaxPoolForward max_pool_forward_plain_fp32{"windows", nullptr, nullptr, nullptr, forward<float>};
const MaxPoolForward max_pool_forward_plain_bf16{"windows", nullptr, nullptr, nullptr, forward<bf16>};
const MaxPoolBackward max_pool_backward_plain_fp32{"search", nullptr, nullptr, nullptr, backward<float>};
const MaxPoolBackward max_pool_backward_plain_bf16{"search", nullptr, nullptr, nullptr, backward<bf16>};

}  // namespace sknet::cuda
