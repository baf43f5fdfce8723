// sk_fuse: one pass over the branches; the sum over them is never written.
#include "cuda/branches.h"
#include "cuda/image_sums.h"
#include "cuda/kernels.h"
#include "ops/sk_fuse.h"

namespace sknet::cuda {
namespace {

// Sums: the pooled one, then mask and mask u of each branch where they are wanted.
template <class Elem, int kBranches, bool kMasks>
struct FusePixels {
  static constexpr int kKept = 2 * kBranches, kReads = kBranches;
  static constexpr int kSums = kMasks ? 1 + 2 * kBranches : 1;
  Branches<Elem, kBranches> b;
  __device__ void begin(int, int c, int channels) { b.begin(c, channels); }
  __device__ void fetch(int64_t at, uint4 (&raw)[kReads]) const { b.fetch(at, raw); }
  __device__ void pixel(int64_t, const uint4 (&raw)[kReads], float (&sums)[kSums][kChunk<Elem>]) const {
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      float v[kChunk<Elem>];
      unpack_chunk<Elem>(raw[m], v);
#pragma unroll
      for (int q = 0; q < kChunk<Elem>; ++q) {
        const float z = b.z(m, q, v[q]);
        sums[0][q] += relu(z);
        if constexpr (kMasks) {
          sums[1 + 2 * m][q] += z > 0 ? 1.0f : 0.0f;
          sums[2 + 2 * m][q] += z > 0 ? v[q] : 0.0f;
        }
      }
    }
  }
};

template <int kBranches, bool kMasks>
struct WriteFused {
  double *s, *mask, *mask_u;
  int images;
  double pixels;
  __device__ void operator()(int image, int c, int channels, const double (&sums)[kMasks ? 1 + 2 * kBranches : 1]) const {
    const int64_t at = static_cast<int64_t>(image) * channels + c;
    s[at] = sums[0] / pixels;
    if constexpr (kMasks) {
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        mask[static_cast<int64_t>(m) * images * channels + at] = sums[1 + 2 * m];
        mask_u[static_cast<int64_t>(m) * images * channels + at] = sums[2 + 2 * m];
      }
    }
  }
};

template <class Elem>
size_t workspace(const SkFuseProblem& p) {
  return image_sums_workspace<Elem>(p.n, p.hw, p.c, 1 + 2 * p.branches);
}

template <class Elem, int kBranches, bool kMasks>
void fuse(const SkFuseProblem& p, const SkFuseForwardArgs& a, const Exec& exec) {
  using Pixels = FusePixels<Elem, kBranches, kMasks>;
  launch_image_sums<Elem, Pixels::kSums>(p.n, p.hw, p.c, exec, Pixels{branches_of<Elem, kBranches>(a)},
                                         WriteFused<kBranches, kMasks>{a.s, a.mask, a.mask_u, p.n, static_cast<double>(p.hw)});
}

template <class Elem>
void forward(const SkFuseProblem& p, const SkFuseForwardArgs& a, const Exec& exec) {
  with_branches(p.branches, [&]<int kBranches>() {
    a.mask == nullptr ? fuse<Elem, kBranches, false>(p, a, exec) : fuse<Elem, kBranches, true>(p, a, exec);
  });
}

}  // namespace

const SkFuseForward sk_fuse_forward_plain_fp32{"rows", nullptr, workspace<float>, nullptr, forward<float>};
const SkFuseForward sk_fuse_forward_plain_bf16{"rows", nullptr, workspace<bf16>, nullptr, forward<bf16>};

}  // namespace sknet::cuda
