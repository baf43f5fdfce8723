// conv2d's candidate "stem", gradient of the weights: rows of the product are output channels, columns the numbers of a window, summed over
// outputs. A block goes down lines of outputs, keeping the input's lines of their windows in a ring; each warp has one line of the windows.
// Blocks' sums are added in order, in float64, by a second kernel.
#include "cuda/column_sums.h"
#include "cuda/conv2d_stem.h"
#include "cuda/launch.h"

namespace sknet::cuda {
namespace {

constexpr int kWarps = kStemKernel, kLanes = 32 * kWarps;
constexpr int kRows = 64, kCols = kStemKernel * kStemSpan;
constexpr int kPixels = 112;                           // outputs of a line that are multiplied at a time
constexpr int kEach = kPixels * (kRows / 8) / kLanes;  // chunks of dy that a lane brings
constexpr int kRing = kStemKernel + kStemStride;       // lines of the input
constexpr int kGradientPitch = kRows * 2 + 16;         // so that the rows of an ldmatrix fall into different banks
constexpr int kBlocks = 264;                           // two on each of an H100's processors
static_assert(kEach * kLanes == kPixels * (kRows / 8));

int shared_bytes(int ow) { return kPixels * kGradientPitch + kRing * stem_pitch(ow) * static_cast<int>(sizeof(uint32_t)); }

// Where an output lies among those summed: the pairs that four lanes take together are every other one of 16, for the sake of the banks.
__device__ __forceinline__ int place_of(int pixel) { return (pixel & ~15) | (pixel >> 1 & 1) << 3 | (pixel >> 2 & 3) << 1 | (pixel & 1); }

// partial: [block][output channel][kCols].
template <bool kNorm>
__global__ void __launch_bounds__(kLanes, 2)
    stem_reduce(StemShape s, const float* x, const bf16* dy, NormGradient norm, int lines, int lines_each, float* partial) {
  SIMT_DYN_SHARED(char, shared);
  char* const gradients = shared;  // [place][kRows], kGradientPitch apart
  // Of each line: a number and the same of the next output's window, as a pair of the summed dimension.
  uint32_t* const ring = reinterpret_cast<uint32_t*>(shared + kPixels * kGradientPitch);
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32, pitch = stem_pitch(s.ow);
  const int row0 = static_cast<int>(blockIdx.y) * kRows, c = row0 + t % 8 * 8;
  const int first = static_cast<int>(blockIdx.x) * lines_each, last = min(first + lines_each, lines);

  uint4 raw[kEach], raw_u[kEach];
  const auto fetch = [&](int line, int w0) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int ow = w0 + t / 8 + i * (kLanes / 8);
      const bool real = line < last && ow < s.ow && c < s.out_channels;
      const int64_t at = real ? (static_cast<int64_t>(line) * s.ow + ow) * s.out_channels + c : 0;
      raw[i] = real ? *reinterpret_cast<const uint4*>(dy + at) : uint4{0, 0, 0, 0};
      if constexpr (kNorm) raw_u[i] = real ? *reinterpret_cast<const uint4*>(static_cast<const bf16*>(norm.u) + at) : uint4{0, 0, 0, 0};
    }
  };
  const auto leave = [&](int w0) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int pixel = t / 8 + i * (kLanes / 8);
      uint4* to = reinterpret_cast<uint4*>(gradients + place_of(pixel) * kGradientPitch + t % 8 * 16);
      if (!kNorm || w0 + pixel >= s.ow || c >= s.out_channels) {
        *to = raw[i];
        continue;
      }
      float v[8], u[8];
      load_chunk(reinterpret_cast<const bf16*>(&raw[i]), v);
      load_chunk(reinterpret_cast<const bf16*>(&raw_u[i]), u);
      norm_gradient(norm, c, u, v);
      store_chunk(reinterpret_cast<bf16*>(to), v);
    }
  };

  float sum[4][3][4] = {};
  int image = first / s.oh, oh = first - image * s.oh;
  bool fresh = true;
  if (first < last) fetch(first, 0);
  for (int line = first; line < last; ++line) {
    const int h0 = oh * kStemStride - s.padding;
    // What the ring does not have yet. No warp still reads the places that this overwrites.
    for (int i = fresh ? 0 : kStemKernel - kStemStride; i < kStemKernel; ++i) {
      const StemLine from(s, x, image, h0 + i);
      uint32_t* to = ring + (oh * kStemStride + i) % kRing * pitch;
#pragma unroll 4
      for (int e = t; e < pitch; e += kLanes) to[e] = pack_bf(from(e), from(e + kStemApart));
    }
    const uint32_t* windows = ring + (oh * kStemStride + warp) % kRing * pitch + lane % 4 * 4 * kStemApart + lane / 4;
    for (int w0 = 0; w0 < s.ow; w0 += kPixels) {
      leave(w0);
      __syncthreads();
      const bool next_line = w0 + kPixels >= s.ow;
      fetch(next_line ? line + 1 : line, next_line ? 0 : w0 + kPixels);
      const int pixels = min(kPixels, s.ow - w0);
      for (int k = 0; k < pixels; k += 16) {
        const char* row = gradients + (k + lane % 8 + lane / 16 * 8) * kGradientPitch + (lane / 8 % 2) * 16;
        uint32_t a[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) ldmatrix_x4_trans(a[i], row + i * 32);
        const uint32_t* col = windows + (w0 + k) * kStemApart;
#pragma unroll
        for (int j = 0; j < 3; ++j) {
          const uint32_t b[2] = {col[j * 8], col[j * 8 + 2 * kStemApart]};
#pragma unroll
          for (int i = 0; i < 4; ++i) mma_16816(sum[i][j], a[i], b);
        }
      }
      __syncthreads();
    }
    fresh = ++oh == s.oh;
    if (fresh) {
      oh = 0;
      ++image;
    }
  }
  float* to = partial + (static_cast<int64_t>(blockIdx.x) * gridDim.y * kRows + row0) * kCols + warp * kStemSpan;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 3; ++j) {
      float* at = to + (i * 16 + lane / 4) * kCols + j * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(at) = float2{sum[i][j][0], sum[i][j][1]};
      *reinterpret_cast<float2*>(at + 8 * kCols) = float2{sum[i][j][2], sum[i][j][3]};
    }
  }
}

constexpr int kAddCols = 32, kAddLanes = 8;

// dweight, OIHW: columns side by side, the blocks' sums shared by 8 lanes.
__global__ void __launch_bounds__(kAddCols* kAddLanes) add_blocks(const float* partial, int blocks, int size, int out, float* dweight) {
  SIMT_SHARED(double[kAddLanes][kAddCols], sums);
  const int t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x) * kAddCols + t % kAddCols;
  double sum = 0;
#pragma unroll 8
  for (int block = t / kAddCols; block < blocks; block += kAddLanes) {
    sum += i < size ? __ldg(partial + static_cast<int64_t>(block) * size + i) : 0.0f;
  }
  sums[t / kAddCols][t % kAddCols] = sum;
  __syncthreads();
  const int o = i / kCols, tap_h = i % kCols / kStemSpan, k = i % kStemSpan, tap_w = k / kStemChannels;
  if (t >= kAddCols || o >= out || tap_w >= kStemKernel) return;
  for (int lane = 1; lane < kAddLanes; ++lane) sum += sums[lane][t];
  dweight[((o * kStemChannels + k % kStemChannels) * kStemKernel + tap_h) * kStemKernel + tap_w] = static_cast<float>(sum);
}

struct Plan {
  int lines, lines_each, blocks, row_tiles;
  int size() const { return row_tiles * kRows * kCols; }
};
Plan plan_of(const Conv2dProblem& p) {
  const int lines = p.n * p.oh, row_tiles = ceil_div(padded(p.out), kRows), wanted = kBlocks / row_tiles,
            each = ceil_div(lines, wanted > 1 ? wanted : 1);
  return {lines, each, ceil_div(lines, each), row_tiles};
}

// The bias's sums reuse the memory.
size_t workspace(const Conv2dProblem& p) {
  const Plan plan = plan_of(p);
  const size_t partial = sizeof(float) * static_cast<size_t>(plan.blocks) * static_cast<size_t>(plan.size());
  const size_t bias = column_sums_workspace(static_cast<int64_t>(p.n) * p.oh * p.ow, p.out);
  return partial > bias ? partial : bias;
}

void run(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const Plan plan = plan_of(p);
  float* partial = reinterpret_cast<float*>(exec.workspace);
  const auto launch = [&]<bool kNorm>() {
    allow_shared(stem_reduce<kNorm>, shared_bytes(p.ow));
    SIMT_LAUNCH(stem_reduce<kNorm>, dim3(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(plan.row_tiles)), kLanes,
                shared_bytes(p.ow), exec.stream, stem_shape(p), static_cast<const float*>(a.x), static_cast<const bf16*>(a.dy), a.dy_norm,
                plan.lines, plan.lines_each, partial);
  };
  a.dy_norm.u != nullptr ? launch.template operator()<true>() : launch.template operator()<false>();
  SIMT_LAUNCH(add_blocks, ceil_div(plan.size(), kAddCols), kAddCols * kAddLanes, 0, exec.stream, partial, plan.blocks, plan.size(), p.out,
              a.dweight);
  if (a.dbias != nullptr) bias_gradient<bf16>(a.dy, a.dy_norm, static_cast<int64_t>(p.n) * p.oh * p.ow, p.out, a.dbias, exec);
}

}  // namespace

const Conv2dBackwardWeight conv2d_backward_weight_stem_bf16{"stem", refuse_stem, workspace, nullptr, run};

}  // namespace sknet::cuda
