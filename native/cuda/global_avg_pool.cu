// global_avg_pool: sums of an image's pixels; backward gives every pixel its share.
#include "cuda/elem.h"
#include "cuda/image_sums.h"
#include "cuda/kernels.h"
#include "ops/global_avg_pool.h"

namespace sknet::cuda {
namespace {

template <class Elem>
struct PixelSum {
  static constexpr int kKept = 0, kReads = 1;
  const Elem* x;
  __device__ void begin(int, int, int) {}
  __device__ void fetch(int64_t at, uint4 (&raw)[1]) const { raw[0] = fetch_chunk(x + at); }
  __device__ void pixel(int64_t, const uint4 (&raw)[1], float (&sums)[1][kChunk<Elem>]) const {
    float v[kChunk<Elem>];
    unpack_chunk<Elem>(raw[0], v);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) sums[0][q] += v[q];
  }
};

template <class Elem>
struct WriteMean {
  Elem* y;
  double pixels;
  __device__ void operator()(int image, int c, int channels, const double (&sums)[1]) const {
    from_f(static_cast<float>(sums[0] / pixels), y[static_cast<int64_t>(image) * channels + c]);
  }
};

template <class Elem>
size_t workspace(const GlobalAvgPoolProblem& p) {
  return image_sums_workspace<Elem>(p.n, p.hw, p.c, 1);
}

template <class Elem>
void forward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolForwardArgs& a, const Exec& exec) {
  launch_image_sums<Elem, 1>(p.n, p.hw, p.c, exec, PixelSum<Elem>{static_cast<const Elem*>(a.x)},
                             WriteMean<Elem>{static_cast<Elem*>(a.y), static_cast<double>(p.hw)});
}

template <class Elem>
__global__ void __launch_bounds__(kTileLanes) share(const Elem* dy, const Elem* add, Elem* dx, RowTiles t, float factor) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const int64_t image = static_cast<int64_t>(blockIdx.z), base = image * t.rows;
  if (lane.row >= lane.end) return;
  float g[kChunk<Elem>];
  load_chunk(dy + image * t.channels + lane.c, g);
#pragma unroll
  for (int q = 0; q < kChunk<Elem>; ++q) g[q] *= factor;
  for (int64_t row = lane.row; row < lane.end; row += lane.step) {
    const int64_t at = (base + row) * t.channels + lane.c;
    float v[kChunk<Elem>] = {};
    if (add != nullptr) load_chunk(add + at, v);
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) v[q] += g[q];
    store_chunk(dx + at, v);
  }
}

template <class Elem>
void backward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolBackwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.hw, p.c);
  dim3 grid = grid_of<Elem>(t);
  grid.z = static_cast<unsigned>(p.n);
  SIMT_LAUNCH(share<Elem>, grid, kTileLanes, 0, exec.stream, static_cast<const Elem*>(a.dy), static_cast<const Elem*>(a.add),
              static_cast<Elem*>(a.dx), t, 1.0f / static_cast<float>(p.hw));
}

}  // namespace

const GlobalAvgPoolForward global_avg_pool_forward_plain_fp32{"rows", nullptr, workspace<float>, nullptr, forward<float>};
const GlobalAvgPoolForward global_avg_pool_forward_plain_bf16{"rows", nullptr, workspace<bf16>, nullptr, forward<bf16>};
const GlobalAvgPoolBackward global_avg_pool_backward_plain_fp32{"rows", nullptr, nullptr, nullptr, backward<float>};
const GlobalAvgPoolBackward global_avg_pool_backward_plain_bf16{"rows", nullptr, nullptr, nullptr, backward<bf16>};

}  // namespace sknet::cuda
