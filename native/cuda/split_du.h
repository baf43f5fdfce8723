// The gradients of the branches' raw outputs, made once and written to the workspace in the tensor's precision: the kernels that read them
// read them through halos and several times, and the arithmetic would cost each of them more than the memory does.
#pragma once

#include "core/exec.h"
#include "cuda/grouped_fill.h"
#include "cuda/rows.h"
#include "ops/sk_split.h"

namespace sknet::cuda {

// The gradient of one branch's raw output u_m from that of the unit's output:
//   du = gain dz + slope (u - mean) - offset,  dz = z > 0 ? attention dv + ds / hw : 0,  z = scale u + shift.
template <class Elem>
struct SplitGradient {
  const Elem* dv;
  const Elem* u[kMaxBranches];
  const float* scale[kMaxBranches];
  const float* shift[kMaxBranches];
  const float* mean[kMaxBranches];
  const float* gain[kMaxBranches];
  const float* slope[kMaxBranches];
  const float* offset[kMaxBranches];
  const float* attention;  // [M, n, C] or null: 1
  const double* ds;        // [n, C] or null: 0
  int images, channels;
  double share;  // 1 / hw
  template <int N>
  struct Raw {
    Packed<Elem, N> dv, u;
  };
  // du = (z > 0 ? dv_gain dv + pooled : 0) + slope u + rest.
  template <int N>
  struct Coefficients {
    float scale[N], shift[N], dv_gain[N], pooled[N], slope[N], rest[N];
  };
  template <int N>
  __device__ __forceinline__ void prepare(Coefficients<N>& k, int m, int image, int c) const {
    load_vector(scale[m] + c, k.scale);
    load_vector(shift[m] + c, k.shift);
    load_vector(slope[m] + c, k.slope);
    float mean_of[N];
    load_vector(mean[m] + c, mean_of);
    load_vector(offset[m] + c, k.rest);
#pragma unroll
    for (int q = 0; q < N; ++q) k.rest[q] = -k.slope[q] * mean_of[q] - k.rest[q];
    load_vector(gain[m] + c, k.dv_gain);
    const int64_t at = static_cast<int64_t>(image) * channels + c;
#pragma unroll
    for (int q = 0; q < N; ++q) {
      k.pooled[q] = ds == nullptr ? 0 : k.dv_gain[q] * static_cast<float>(ds[at + q] * share);
      if (attention != nullptr) k.dv_gain[q] *= attention[static_cast<int64_t>(m) * images * channels + at + q];
    }
  }
  template <int N>
  __device__ __forceinline__ void fetch(Raw<N>& raw, int m, int64_t at) const {
    raw.dv.fetch(dv, at);
    raw.u.fetch(u[m], at);
  }
  template <int N>
  __device__ __forceinline__ void make(const Coefficients<N>& k, const Raw<N>& raw, float (&v)[N]) const {
    float x[N];
    raw.dv.unpack(v);
    raw.u.unpack(x);
#pragma unroll
    for (int q = 0; q < N; ++q) {
      const float dz = k.scale[q] * x[q] + k.shift[q] > 0 ? k.dv_gain[q] * v[q] + k.pooled[q] : 0;
      v[q] = dz + (k.slope[q] * x[q] + k.rest[q]);
    }
  }
};

// Parts of an image: blocks of 256 lanes, 1 << across_bits of them side by side with kDuChannels channels each.
constexpr int kDuChannels = 4, kDuPixels = 32, kDuBatch = 4;  // of a lane: channels, pixels, pixels it fetches before it makes the first
struct DuTiles {
  int pixels, parts, across_bits;
};

inline DuTiles du_tiles(int pixels, int channels) {
  DuTiles t{pixels, 0, 0};
  while (t.across_bits < 6 && kDuChannels << t.across_bits < channels) ++t.across_bits;
  t.parts = ceil_div(pixels, (kTileLanes >> t.across_bits) * kDuPixels);
  return t;
}

template <class Elem>
struct BranchGradients {
  Elem* du[kMaxBranches];
};

// Branches `first` and on; a lane has registers for the coefficients of two.
template <class Elem, int kBranches>
__global__ void __launch_bounds__(kTileLanes, 2)
    make_du(const __grid_constant__ SplitGradient<Elem> gradient, DuTiles t, int first, const __grid_constant__ BranchGradients<Elem> out) {
  using Gradient = SplitGradient<Elem>;
  const int lane = static_cast<int>(threadIdx.x), image = static_cast<int>(blockIdx.x) / t.parts;
  const int part = static_cast<int>(blockIdx.x) - image * t.parts, apart = kTileLanes >> t.across_bits;
  const int c = ((static_cast<int>(blockIdx.y) << t.across_bits) + (lane & ((1 << t.across_bits) - 1))) * kDuChannels;
  if (c >= gradient.channels) return;
  typename Gradient::template Coefficients<kDuChannels> k[kBranches];
#pragma unroll
  for (int m = 0; m < kBranches; ++m) gradient.prepare(k[m], first + m, image, c);
  const int begin = part * apart * kDuPixels + (lane >> t.across_bits);
  const int64_t image_at = static_cast<int64_t>(image) * t.pixels * gradient.channels + c;
#pragma unroll 1
  for (int i = 0; i < kDuPixels && begin + i * apart < t.pixels; i += kDuBatch) {
    typename Gradient::template Raw<kDuChannels> raw[kDuBatch][kBranches];
#pragma unroll
    for (int b = 0; b < kDuBatch; ++b) {
      const int pixel = begin + (i + b) * apart;
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        if (pixel < t.pixels) gradient.fetch(raw[b][m], first + m, image_at + static_cast<int64_t>(pixel) * gradient.channels);
      }
    }
#pragma unroll
    for (int b = 0; b < kDuBatch; ++b) {
      const int pixel = begin + (i + b) * apart;
      if (pixel >= t.pixels) continue;
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        float v[kDuChannels];
        gradient.make(k[m], raw[b][m], v);
        store_chunk(out.du[first + m] + image_at + static_cast<int64_t>(pixel) * gradient.channels, v);
      }
    }
  }
}

template <class Elem>
PlainFill<Elem> plain_fill(const BranchGradients<Elem>& g) {
  PlainFill<Elem> fill{};
  for (int m = 0; m < kMaxBranches; ++m) fill.x[m] = g.du[m];
  return fill;
}

template <class Elem>
BranchGradients<Elem> branch_gradients(const SkSplitProblem& p, char* memory) {
  const Conv2dProblem& conv = p.conv[0];
  BranchGradients<Elem> g{};
  const int64_t size = static_cast<int64_t>(conv.n) * conv.oh * conv.ow * padded(conv.out);
  for (int m = 0; m < p.branches; ++m) g.du[m] = reinterpret_cast<Elem*>(memory) + m * size;
  return g;
}
template <class Elem>
size_t branch_gradient_bytes(const SkSplitProblem& p) {
  const Conv2dProblem& conv = p.conv[0];
  return sizeof(Elem) * static_cast<size_t>(p.branches) * static_cast<size_t>(conv.n) * static_cast<size_t>(conv.oh * conv.ow) *
         static_cast<size_t>(padded(conv.out));
}

template <class Elem>
void launch_make_du(const SkSplitProblem& p, const SplitGradient<Elem>& gradient, const BranchGradients<Elem>& out, const Exec& exec) {
  const DuTiles t = du_tiles(p.conv[0].oh * p.conv[0].ow, gradient.channels);
  const dim3 grid(gradient.images * t.parts, ceil_div(gradient.channels, kDuChannels << t.across_bits));
  for (int m = 0; m < p.branches; m += 2) {
    if (m + 1 < p.branches) {
      SIMT_LAUNCH((make_du<Elem, 2>), grid, kTileLanes, 0, exec.stream, gradient, t, m, out);
    } else {
      SIMT_LAUNCH((make_du<Elem, 1>), grid, kTileLanes, 0, exec.stream, gradient, t, m, out);
    }
  }
}

}  // namespace sknet::cuda
