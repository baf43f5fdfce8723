// channel_scale: backward gives dx and sums dgate in one pass.
#include "cuda/elem.h"
#include "cuda/image_sums.h"
#include "cuda/kernels.h"
#include "ops/channel_scale.h"

namespace sknet::cuda {
namespace {

template <class Elem>
__global__ void __launch_bounds__(kTileLanes) scale(const Elem* x, const Elem* gate, Elem* y, RowTiles t) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const int64_t image = static_cast<int64_t>(blockIdx.z);
  if (lane.row >= lane.end) return;
  float g[kChunk<Elem>];
  load_chunk(gate + image * t.channels + lane.c, g);
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int64_t at = (image * t.rows + row) * t.channels + lane.c;
    float v[kChunk<Elem>];
    load_chunk(x + at, v);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) v[q] *= g[q];
    store_chunk(y + at, v);
  }
}

template <class Elem>
void forward(const ChannelScaleProblem& p, const ChannelScaleForwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.hw, p.c);
  dim3 grid = grid_of<Elem>(t);
  grid.z = static_cast<unsigned>(p.n);
  SIMT_LAUNCH(scale<Elem>, grid, kTileLanes, 0, exec.stream, static_cast<const Elem*>(a.x), static_cast<const Elem*>(a.gate),
              static_cast<Elem*>(a.y), t);
}

template <class Elem>
struct ScaleGradient {
  static constexpr int kKept = 1, kReads = 3;
  const Elem *x, *gate, *dy, *add;
  Elem* dx;
  float g[kChunk<Elem>] = {};
  __device__ void begin(int image, int c, int channels) {
    if (c < channels) load_chunk(gate + static_cast<int64_t>(image) * channels + c, g);
  }
  __device__ void fetch(int64_t at, uint4 (&raw)[3]) const {
    raw[0] = fetch_chunk(x + at);
    raw[1] = fetch_chunk(dy + at);
    raw[2] = add != nullptr ? fetch_chunk(add + at) : uint4{0, 0, 0, 0};
  }
  __device__ void pixel(int64_t at, const uint4 (&raw)[3], float (&sums)[1][kChunk<Elem>]) const {
    float v[kChunk<Elem>], d[kChunk<Elem>], more[kChunk<Elem>];
    unpack_chunk<Elem>(raw[0], v);
    unpack_chunk<Elem>(raw[1], d);
    unpack_chunk<Elem>(raw[2], more);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      sums[0][q] += d[q] * v[q];
      d[q] = d[q] * g[q] + more[q];
    }
    store_chunk(dx + at, d);
  }
};

template <class Elem>
struct WriteGate {
  Elem* dgate;
  const Elem* add;
  __device__ void operator()(int image, int c, int channels, const double (&sums)[1]) const {
    const int64_t at = static_cast<int64_t>(image) * channels + c;
    from_f(static_cast<float>(sums[0]) + (add == nullptr ? 0.0f : to_f(add[at])), dgate[at]);
  }
};

template <class Elem>
size_t workspace(const ChannelScaleProblem& p) {
  return image_sums_workspace<Elem>(p.n, p.hw, p.c, 1);
}

template <class Elem>
void backward(const ChannelScaleProblem& p, const ChannelScaleBackwardArgs& a, const Exec& exec) {
  const ScaleGradient<Elem> pixels{static_cast<const Elem*>(a.x), static_cast<const Elem*>(a.gate), static_cast<const Elem*>(a.dy),
                                   static_cast<const Elem*>(a.add_dx), static_cast<Elem*>(a.dx)};
  launch_image_sums<Elem, 1>(p.n, p.hw, p.c, exec, pixels,
                             WriteGate<Elem>{static_cast<Elem*>(a.dgate), static_cast<const Elem*>(a.add_dgate)});
}

}  // namespace

const ChannelScaleForward channel_scale_forward_plain_fp32{"rows", nullptr, nullptr, nullptr, forward<float>};
const ChannelScaleForward channel_scale_forward_plain_bf16{"rows", nullptr, nullptr, nullptr, forward<bf16>};
const ChannelScaleBackward channel_scale_backward_plain_fp32{"rows", nullptr, workspace<float>, nullptr, backward<float>};
const ChannelScaleBackward channel_scale_backward_plain_bf16{"rows", nullptr, workspace<bf16>, nullptr, backward<bf16>};

}  // namespace sknet::cuda
