// channel_gather: a lane has a chunk of the output's channels, finds out once where each comes from, and goes down the rows.
#include "cuda/elem.h"
#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "ops/channel_gather.h"

namespace sknet::cuda {
namespace {

// One channel of rows of `stride` numbers. A null x: no channel, zeros.
template <class Elem>
struct Origin {
  const Elem* x = nullptr;
  int stride = 0;
};

template <class Elem>
struct FromSources {
  ChannelGatherProblem p;
  const Elem* x[kMaxSources];
  __device__ Origin<Elem> operator()(int j) const {
    int channel = p.first + j % p.groups * (p.out / p.groups) + j / p.groups, source = 0;
    while (channel >= p.c[source]) channel -= p.c[source++];
    return {x[source] + channel, padded(p.c[source])};
  }
};

template <class Elem>
struct FromGradient {
  ChannelGatherProblem p;
  int offset;  // of the source's channel 0 among those that y holds
  const Elem* dy;
  __device__ Origin<Elem> operator()(int channel) const {
    const int k = offset + channel, run = p.out / p.groups;
    if (k < 0 || k >= p.out) return {};
    return {dy + k % run * p.groups + k / run, padded(p.out)};
  }
};

// c: channels of y, unpadded; the padding becomes zero.
template <class Elem, class F>
__global__ void __launch_bounds__(kTileLanes) gather_rows(F origin_of, const Elem* add, Elem* y, RowTiles t, int c) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  if (lane.row >= lane.end) return;
  Origin<Elem> from[kChunk<Elem>];
#pragma unroll
  for (int q = 0; q < kChunk<Elem>; ++q) {
    if (lane.c + q < c) from[q] = origin_of(lane.c + q);
  }
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int64_t at = row * t.channels + lane.c;
    float v[kChunk<Elem>] = {};
    if (add != nullptr) load_chunk(add + at, v);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) {
      if (from[q].x != nullptr) v[q] += to_f(from[q].x[row * from[q].stride]);
    }
    store_chunk(y + at, v);
  }
}

template <class Elem, class F>
void launch(const ChannelGatherProblem& p, int c, const F& origin_of, const void* add, void* y, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(static_cast<int64_t>(p.n) * p.hw, c);
  SIMT_LAUNCH((gather_rows<Elem, F>), grid_of<Elem>(t), kTileLanes, 0, exec.stream, origin_of, static_cast<const Elem*>(add),
              static_cast<Elem*>(y), t, c);
}

template <class Elem>
void forward(const ChannelGatherProblem& p, const ChannelGatherForwardArgs& a, const Exec& exec) {
  FromSources<Elem> from{p, {}};
  for (int i = 0; i < p.sources; ++i) from.x[i] = static_cast<const Elem*>(a.x[i]);
  launch<Elem>(p, p.out, from, a.add, a.y, exec);
}

template <class Elem>
void backward(const ChannelGatherProblem& p, const ChannelGatherBackwardArgs& a, const Exec& exec) {
  FromGradient<Elem> from{p, -p.first, static_cast<const Elem*>(a.dy)};
  for (int i = 0; i < a.source; ++i) from.offset += p.c[i];
  launch<Elem>(p, p.c[a.source], from, a.add, a.dx, exec);
}

}  // namespace

const ChannelGatherForward channel_gather_forward_plain_fp32{"lanes", nullptr, nullptr, nullptr, forward<float>};
const ChannelGatherForward channel_gather_forward_plain_bf16{"lanes", nullptr, nullptr, nullptr, forward<bf16>};
const ChannelGatherBackward channel_gather_backward_plain_fp32{"lanes", nullptr, nullptr, nullptr, backward<float>};
const ChannelGatherBackward channel_gather_backward_plain_bf16{"lanes", nullptr, nullptr, nullptr, backward<bf16>};

}  // namespace sknet::cuda
