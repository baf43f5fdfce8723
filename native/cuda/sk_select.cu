// sk_select: all branches in one pass.
#include "cuda/branches.h"
#include "cuda/image_sums.h"
#include "cuda/kernels.h"
#include "ops/sk_select.h"

namespace sknet::cuda {
namespace {

template <class Elem, int kBranches>
__global__ void __launch_bounds__(kTileLanes, kBranches > 2 ? 2 : 3)
    select(Branches<Elem, kBranches> b, const float* attention, Elem* v, RowTiles t, int images) {
  const LaneRows lane = lane_rows<Elem>(t, blockIdx.x);
  const int64_t image = static_cast<int64_t>(blockIdx.z);
  if (lane.row >= lane.end) return;
  b.begin(lane.c, t.channels);
  float weight[kBranches][kChunk<Elem>];
#pragma unroll
  for (int m = 0; m < kBranches; ++m) {
#pragma unroll
    for (int q = 0; q < kChunk<Elem>; ++q) weight[m][q] = 1;
    if (attention != nullptr) load_vector(attention + (static_cast<int64_t>(m) * images + image) * t.channels + lane.c, weight[m]);
  }
  const auto at = [&](int64_t row) { return (image * t.rows + row) * t.channels + lane.c; };
  for_rows<kBranches, (kBranches > 2 ? 1 : 2)>(
      lane, [&](int64_t row, uint4(&raw)[kBranches]) { b.fetch(at(row), raw); },
      [&](int64_t row, const uint4(&raw)[kBranches]) {
        float sum[kChunk<Elem>] = {};
#pragma unroll
        for (int m = 0; m < kBranches; ++m) {
          float u[kChunk<Elem>];
          unpack_chunk<Elem>(raw[m], u);
#pragma unroll
          for (int q = 0; q < kChunk<Elem>; ++q) sum[q] += weight[m][q] * relu(b.z(m, q, u[q]));
        }
        store_chunk(v + at(row), sum);
      });
}

template <class Elem>
void forward(const SkSelectProblem& p, const SkSelectForwardArgs& a, const Exec& exec) {
  const RowTiles t = row_tiles<Elem>(p.hw, p.c);
  dim3 grid = grid_of<Elem>(t);
  grid.z = static_cast<unsigned>(p.n);
  with_branches(p.branches, [&]<int kBranches>() {
    const Branches<Elem, kBranches> b = branches_of<Elem, kBranches>(a);
    SIMT_LAUNCH((select<Elem, kBranches>), grid, kTileLanes, 0, exec.stream, b, a.attention, static_cast<Elem*>(a.v), t, p.n);
  });
}

// Sums of dv and of dv u over the pixels with z > 0, of each branch.
template <class Elem, int kBranches>
struct SelectPixels {
  static constexpr int kKept = 2 * kBranches, kReads = kBranches + 1;
  Branches<Elem, kBranches> b;
  const Elem* dv;
  __device__ void begin(int, int c, int channels) { b.begin(c, channels); }
  __device__ void fetch(int64_t at, uint4 (&raw)[kReads]) const {
    b.fetch(at, raw);
    raw[kBranches] = fetch_chunk(dv + at);
  }
  __device__ void pixel(int64_t, const uint4 (&raw)[kReads], float (&sums)[2 * kBranches][kChunk<Elem>]) const {
    float g[kChunk<Elem>];
    unpack_chunk<Elem>(raw[kBranches], g);
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      float u[kChunk<Elem>];
      unpack_chunk<Elem>(raw[m], u);
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) {
        const float gated = b.z(m, q, u[q]) > 0 ? g[q] : 0.0f;
        sums[2 * m][q] += gated;
        sums[2 * m + 1][q] += gated * u[q];
      }
    }
  }
};

template <int kBranches>
struct WriteSelected {
  double *mask, *mask_u;
  int images;
  __device__ void operator()(int image, int c, int channels, const double (&sums)[2 * kBranches]) const {
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      const int64_t at = (static_cast<int64_t>(m) * images + image) * channels + c;
      mask[at] = sums[2 * m];
      mask_u[at] = sums[2 * m + 1];
    }
  }
};

template <class Elem>
size_t workspace(const SkSelectProblem& p) {
  return image_sums_workspace<Elem>(p.n, p.hw, p.c, 2 * p.branches);
}

template <class Elem>
void backward(const SkSelectProblem& p, const SkSelectBackwardArgs& a, const Exec& exec) {
  with_branches(p.branches, [&]<int kBranches>() {
    const SelectPixels<Elem, kBranches> pixels{branches_of<Elem, kBranches>(a), static_cast<const Elem*>(a.dv)};
    launch_image_sums<Elem, 2 * kBranches>(p.n, p.hw, p.c, exec, pixels, WriteSelected<kBranches>{a.dv_mask, a.dv_mask_u, p.n});
  });
}

}  // namespace

const SkSelectForward sk_select_forward_plain_fp32{"rows", nullptr, nullptr, nullptr, forward<float>};
const SkSelectForward sk_select_forward_plain_bf16{"rows", nullptr, nullptr, nullptr, forward<bf16>};
const SkSelectBackward sk_select_backward_plain_fp32{"rows", nullptr, workspace<float>, nullptr, backward<float>};
const SkSelectBackward sk_select_backward_plain_bf16{"rows", nullptr, workspace<bf16>, nullptr, backward<bf16>};

}  // namespace sknet::cuda
