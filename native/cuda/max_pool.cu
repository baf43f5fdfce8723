// max_pool: forward takes a window's pixels a lane. Backward first finds each window's winner, once, and keeps where in the window it is;
// then every input pixel adds up the windows that it won, so that each gradient is written once and nothing is added atomically.
#include "cuda/conv_axis.h"
#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "ops/max_pool.h"

namespace sknet::cuda {
namespace {

__device__ __forceinline__ void round_chunk(float (&)[4], float) {}
__device__ __forceinline__ void round_chunk(float (&v)[8], bf16) {
#pragma unroll
  for (int q = 0; q < 8; q += 2) {
    const uint32_t pair = pack_bf(v[q], v[q + 1]);
    v[q] = __uint_as_float(pair << 16);
    v[q + 1] = __uint_as_float(pair & 0xffff0000u);
  }
}

// The window's pixels, channels from the lane's first on, through a batch norm where there is one. A place outside the image stands for the
// nearest inside, which belongs to the window too and changes no maximum.
template <class Elem, int kKernel>
struct Windows {
  static constexpr int kAcross = kKernel == 0 ? 1 : kKernel;
  const Elem* x;
  Normalize norm;
  MaxPoolProblem p;
  FastDiv by_ow, by_oh;
  float scale[kChunk<Elem>], shift[kChunk<Elem>];

  __device__ __forceinline__ int kernel() const { return kKernel == 0 ? p.kernel : kKernel; }
  __device__ __forceinline__ void begin(int c) {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      scale[q] = 1;
      shift[q] = 0;
    }
    if (norm.scale == nullptr) return;
    load_vector(norm.scale + c, scale);
    load_vector(norm.shift + c, shift);
  }
  // f(place in the window, scale x + shift) for the pixels of window `row`, from the last to the first.
  template <class F>
  __device__ __forceinline__ void each(int row, int channels, int c, const F& f) const {
    const int line = by_ow.quotient(row), image = by_oh.quotient(line);
    const int h0 = (line - image * p.oh) * p.stride - p.padding, w0 = (row - line * p.ow) * p.stride - p.padding;
    const Elem* const from = x + static_cast<int64_t>(image) * p.h * p.w * channels + c;
#pragma unroll
    for (int i = kernel() - 1; i >= 0; --i) {
      const int h = min(max(h0 + i, 0), p.h - 1);
      for (int j0 = kernel() - kAcross; j0 >= 0; j0 -= kAcross) {
        float v[kAcross][kChunk<Elem>];
        int place[kAcross];
#pragma unroll
        for (int j = kAcross - 1; j >= 0; --j) {
          const int w = min(max(w0 + j0 + j, 0), p.w - 1);
          place[j] = (h - h0) * kernel() + w - w0;
          load_chunk(from + static_cast<int64_t>(h * p.w + w) * channels, v[j]);
        }
#pragma unroll
        for (int j = kAcross - 1; j >= 0; --j) {
#pragma unroll
          for (int q = 0; q < kChunk<Elem>; ++q) v[j][q] = scale[q] * v[j][q] + shift[q];
          f(place[j], v[j]);
        }
      }
    }
  }
};

template <class Elem, int kKernel>
Windows<Elem, kKernel> windows_of(const MaxPoolProblem& p, const void* x, const Normalize& norm) {
  return {static_cast<const Elem*>(x), norm, p, FastDiv(p.ow), FastDiv(p.oh), {}, {}};
}

// f.template operator()<kernel, or 0 where it is not known beforehand>().
template <class F>
void with_kernel(const MaxPoolProblem& p, const F& f) {
  p.kernel == 3 ? f.template operator()<3>() : f.template operator()<0>();
}

// Rounding and ReLU keep the order, so they wait for the maximum.
template <class Elem, int kKernel>
__global__ void __launch_bounds__(kTileLanes) pool(Windows<Elem, kKernel> windows, Elem* y, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  windows.begin(lane.c);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    float best[kChunk<Elem>];
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) best[q] = windows.norm.relu ? 0 : -INFINITY;
    windows.each(static_cast<int>(row), t.channels, lane.c, [&](int, const float(&v)[kChunk<Elem>]) {
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) best[q] = max_nan(best[q], v[q]);
    });
    store_chunk(y + row * t.channels + lane.c, best);
  }
}

template <class Elem>
void forward(const MaxPoolProblem& p, const MaxPoolForwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.oh * p.ow, p.c);
  with_kernel(p, [&]<int kKernel>() {
    SIMT_LAUNCH((pool<Elem, kKernel>), grid_of<Elem>(t), kTileLanes, 0, exec.stream, windows_of<Elem, kKernel>(p, a.x, a.x_norm),
                static_cast<Elem*>(a.y), t);
  });
}

// Where in its window the winner of each channel of a chunk is: the first that equals y. No place: where y is NaN.
template <class Place, int kCount>
struct alignas(sizeof(Place) * kCount) Places {
  Place of[kCount];
};

template <class Place>
constexpr unsigned kNoPlace = static_cast<Place>(~0u);

template <class Elem, class Place, int kKernel>
__global__ void __launch_bounds__(kTileLanes)
    find_winners(Windows<Elem, kKernel> windows, const Elem* y, Places<Place, kChunk<Elem>>* winners, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  windows.begin(lane.c);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int64_t at = row * t.channels + lane.c;
    float largest[kChunk<Elem>];
    unsigned winner[kChunk<Elem>];
    const float least = windows.norm.relu ? 0 : -INFINITY;
    load_chunk(y + at, largest);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) winner[q] = kNoPlace<Place>;
    windows.each(static_cast<int>(row), t.channels, lane.c, [&](int place, float(&v)[kChunk<Elem>]) {
      round_chunk(v, Elem{});
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) {
        if (fmaxf(v[q], least) == largest[q]) winner[q] = static_cast<unsigned>(place);
      }
    });
    Places<Place, kChunk<Elem>> out;
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) out.of[q] = static_cast<Place>(winner[q]);
    winners[at / kChunk<Elem>] = out;
  }
}

template <class Elem, class Place>
__global__ void __launch_bounds__(kTileLanes)
    unpool(MaxPoolProblem p, FastDiv by_w, FastDiv by_h, FastDiv by_stride, const Places<Place, kChunk<Elem>>* winners, const Elem* dy,
           const Elem* add, Elem* dx, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int pixel = static_cast<int>(row), line = by_w.quotient(pixel), image = by_h.quotient(line);
    const int h = line - image * p.h + p.padding, w = pixel - line * p.w + p.padding;  // from where the first window begins
    // Windows with oh * stride <= h < oh * stride + kernel.
    const int oh_first = by_stride.quotient(max(0, h - p.kernel + p.stride)), oh_last = min(by_stride.quotient(h), p.oh - 1),
              ow_first = by_stride.quotient(max(0, w - p.kernel + p.stride)), ow_last = min(by_stride.quotient(w), p.ow - 1);
    const int64_t at = row * t.channels + lane.c;
    float sum[kChunk<Elem>] = {};
    if (add != nullptr) load_chunk(add + at, sum);
    for (int oh = oh_first; oh <= oh_last; ++oh) {
      for (int ow0 = ow_first; ow0 <= ow_last; ow0 += 2) {
        // Two at a time, so that both are fetched before the first is used; beyond the last one again, but then nothing is at its place.
        Places<Place, kChunk<Elem>> winner[2];
        float g[2][kChunk<Elem>];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int64_t from = (static_cast<int64_t>(image * p.oh + oh) * p.ow + min(ow0 + i, ow_last)) * t.channels + lane.c;
          winner[i] = winners[from / kChunk<Elem>];
          load_chunk(dy + from, g[i]);
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const unsigned place =
              ow0 + i <= ow_last ? static_cast<unsigned>((h - oh * p.stride) * p.kernel + w - (ow0 + i) * p.stride) : kNoPlace<Place> - 1;
#pragma unroll
          for (int q = 0; q < kChunk<Elem>; ++q) sum[q] += winner[i].of[q] == static_cast<Place>(place) ? g[i][q] : 0.0f;
        }
      }
    }
    store_chunk(dx + at, sum);
  }
}

// Places of a window that a byte can tell.
constexpr int kByteKernel = 15;

template <class Elem>
size_t backward_workspace(const MaxPoolProblem& p) {
  return static_cast<size_t>(p.n) * p.oh * p.ow * padded(p.c) * (p.kernel <= kByteKernel ? sizeof(uint8_t) : sizeof(uint32_t));
}

template <class Elem, class Place>
void backward_by(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, const Exec& exec) {
  using Chunk = Places<Place, kChunk<Elem>>;
  Chunk* winners = reinterpret_cast<Chunk*>(exec.workspace);
  const RowTiles outputs = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.oh * p.ow, p.c);
  with_kernel(p, [&]<int kKernel>() {
    SIMT_LAUNCH((find_winners<Elem, Place, kKernel>), grid_of<Elem>(outputs), kTileLanes, 0, exec.stream,
                windows_of<Elem, kKernel>(p, a.x, a.x_norm), static_cast<const Elem*>(a.y), winners, outputs);
  });
  const RowTiles inputs = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.h * p.w, p.c);
  SIMT_LAUNCH((unpool<Elem, Place>), grid_of<Elem>(inputs), kTileLanes, 0, exec.stream, p, FastDiv(p.w), FastDiv(p.h), FastDiv(p.stride),
              winners, static_cast<const Elem*>(a.dy), static_cast<const Elem*>(a.add), static_cast<Elem*>(a.dx), inputs);
}

template <class Elem>
void backward(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, const Exec& exec) {
  p.kernel <= kByteKernel ? backward_by<Elem, uint8_t>(p, a, exec) : backward_by<Elem, uint32_t>(p, a, exec);
}

}  // namespace

const MaxPoolForward max_pool_forward_plain_fp32{"windows", nullptr, nullptr, nullptr, forward<float>};
const MaxPoolForward max_pool_forward_plain_bf16{"windows", nullptr, nullptr, nullptr, forward<bf16>};
const MaxPoolBackward max_pool_backward_plain_fp32{"winners", nullptr, backward_workspace<float>, nullptr, backward<float>};
const MaxPoolBackward max_pool_backward_plain_bf16{"winners", nullptr, backward_workspace<bf16>, nullptr, backward<bf16>};

}  // namespace sknet::cuda
