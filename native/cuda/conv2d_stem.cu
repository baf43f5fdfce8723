// conv2d's candidate "stem", forward: rows of the product are outputs, columns their channels. Weights stay in registers.
#include "cuda/conv2d_stem.h"
#include "cuda/row_epilogue.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 128, kStrip = 4;  // rows of outputs that a block makes
constexpr int kCols = 64, kWarpCols = 32;
constexpr int kLines = (kStrip - 1) * kStemStride + kStemKernel;
constexpr int kEights = kStemKernel * kStemSpan / 8;  // of the summed dimension
constexpr int kSteps = kEights / 2;                   // of sixteen; one eight is left
constexpr int kWords = (kSteps * 2 + 1) * (kWarpCols / 8);
static_assert(kEights == 2 * kSteps + 1);

// Column n of tile j of a warp, so that a lane's results are eight neighbouring channels.
__device__ __forceinline__ int column_of(int j, int n) { return n / 2 * 8 + 2 * j + n % 2; }

// packed[32 columns][kWords / 4][lane][4]: each lane's operands in the order in which it takes them.
__global__ void __launch_bounds__(256) pack_stem(const float* weight, uint32_t* packed, int out, int size) {
  const int i = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
  if (i >= size) return;
  const int lane = i / 4 % 32, word = i / 128 % (kWords / 4) * 4 + i % 4, col0 = i / (kWords * 32) * kWarpCols;
  const bool whole = word < kSteps * 8;
  const int j = whole ? word % 8 / 2 : word - kSteps * 8, eight = whole ? word / 8 * 2 + word % 2 : kEights - 1;
  const int o = col0 + column_of(j, lane / 4), tap_h = eight / 3;
  float v[2];
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    const int k = eight % 3 * 8 + lane % 4 * 2 + q, tap_w = k / kStemChannels;
    const bool real = o < out && tap_w < kStemKernel;
    v[q] = real ? weight[((o * kStemChannels + k % kStemChannels) * kStemKernel + tap_h) * kStemKernel + tap_w] : 0;
  }
  packed[i] = pack_bf(v[0], v[1]);
}

__device__ __forceinline__ uint32_t word_at(const bf16* p) { return *reinterpret_cast<const uint32_t*>(p); }

template <class Epilogue>
__global__ void __launch_bounds__(kLanes, 3) stem_rows(StemShape s, const float* x, const uint4* weight, Epilogue epilogue) {
  SIMT_DYN_SHARED(bf16, lines);  // [kLines][pitch]
  SIMT_SHARED(float[kCols], pivot);
  SIMT_SHARED(float[2][3][kCols], sums);  // of each pair: sum, dot, pivot
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32, pair = warp / 2;
  const int strips = ceil_div(s.oh, kStrip), tile = static_cast<int>(blockIdx.x), image = tile / strips;
  const int oh0 = (tile - image * strips) * kStrip, pitch = stem_pitch(s.ow);
  const int col0 = static_cast<int>(blockIdx.y) * kCols + warp % 2 * kWarpCols;

  for (int line = warp; line < kLines; line += kLanes / 32) {
    const StemLine from(s, x, image, oh0 * kStemStride - s.padding + line);
    uint32_t* to = reinterpret_cast<uint32_t*>(lines + line * pitch);
#pragma unroll 4
    for (int e = lane; e < pitch / 2; e += 32) to[e] = pack_bf(from(2 * e), from(2 * e + 1));
  }
  uint32_t b[kWords];
#pragma unroll
  for (int i = 0; i < kWords / 4; ++i) {
    const uint4 four = __ldg(weight + (col0 / kWarpCols * (kWords / 4) + i) * 32 + lane);
    b[4 * i] = four.x;
    b[4 * i + 1] = four.y;
    b[4 * i + 2] = four.z;
    b[4 * i + 3] = four.w;
  }
  __syncthreads();

  const int row = lane / 4, c = col0 + lane % 4 * 8, in_block = c - static_cast<int>(blockIdx.y) * kCols;
  const bool wanted = c < s.out_channels;
  typename Epilogue::State state;
  if (wanted) epilogue.begin(state, c);
  const int tiles = ceil_div(s.ow, 16);
  int r = 0, w = pair;
  for (int at = pair; at < kStrip * tiles; at += 2) {
    while (w >= tiles) {
      w -= tiles;
      ++r;
    }
    const bf16* window = lines + r * kStemStride * pitch + (w * 16 + row) * kStemApart + lane % 4 * 2;
    float sum[4][4] = {};
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const bf16* left = window + 2 * step / 3 * pitch + 2 * step % 3 * 8;
      const bf16* right = window + (2 * step + 1) / 3 * pitch + (2 * step + 1) % 3 * 8;
      const uint32_t a[4] = {word_at(left), word_at(left + 8 * kStemApart), word_at(right), word_at(right + 8 * kStemApart)};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t two[2] = {b[step * 8 + j * 2], b[step * 8 + j * 2 + 1]};
        mma_16816(sum[j], a, two);
      }
    }
    const bf16* last = window + (kEights - 1) / 3 * pitch + (kEights - 1) % 3 * 8;
    const uint32_t a[2] = {word_at(last), word_at(last + 8 * kStemApart)};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t one[1] = {b[kSteps * 8 + j]};
      mma_1688(sum[j], a, one);
    }
    if (Epilogue::kSums && at == pair) {
      if (pair == 0 && row == 0) {
#pragma unroll
        for (int q = 0; q < 8; ++q) pivot[in_block + q] = sum[q / 2][q % 2];
      }
      __syncthreads();
      if (wanted) epilogue.first(state, pivot + in_block);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int oh = oh0 + r, ow = w * 16 + row + i * 8;
      if (!wanted || oh >= s.oh || ow >= s.ow) continue;
      float v[8];
#pragma unroll
      for (int q = 0; q < 8; ++q) v[q] = sum[q / 2][i * 2 + q % 2];
      epilogue.row(state, ((static_cast<int64_t>(image) * s.oh + oh) * s.ow + ow) * s.out_channels + c, v);
    }
    w += 2;
  }
  if constexpr (Epilogue::kSums) {
#pragma unroll
    for (int q = 0; q < 8; ++q) {
      float sum = wanted ? state.sum[q] : 0, dot = wanted ? state.dot[q] : 0;
#pragma unroll
      for (int apart = 4; apart < 32; apart *= 2) {
        sum += __shfl_xor_sync(~0u, sum, apart);
        dot += __shfl_xor_sync(~0u, dot, apart);
      }
      if (row == 0) {
        sums[pair][0][in_block + q] = sum;
        sums[pair][1][in_block + q] = dot;
        sums[pair][2][in_block + q] = wanted ? state.pivot[q] : 0;
      }
    }
    __syncthreads();
    const int column = static_cast<int>(blockIdx.y) * kCols + t;
    if (t < kCols && column < s.out_channels) {
      epilogue.finish(tile, column, sums[0][0][t] + sums[1][0][t], sums[0][1][t] + sums[1][1][t], sums[0][2][t],
                      min(kStrip, s.oh - oh0) * s.ow);
    }
  }
}

int tiles_of(const Conv2dProblem& p) { return p.n * ceil_div(p.oh, kStrip); }
int packed_words(const Conv2dProblem& p) { return ceil_div(padded(p.out), kCols) * (kCols / kWarpCols) * kWords * 32; }

size_t workspace(const Conv2dProblem& p) { return p.fusion.statistics ? TileSums::bytes(tiles_of(p), padded(p.out), true) : 0; }
size_t packed(const Conv2dProblem& p) { return sizeof(uint32_t) * static_cast<size_t>(packed_words(p)); }

void pack(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const int size = packed_words(p);
  SIMT_LAUNCH(pack_stem, ceil_div(size, 256), 256, 0, exec.stream, a.weight, reinterpret_cast<uint32_t*>(exec.packed), p.out, size);
}

void run(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const auto launch = [&](const auto& epilogue) {
    using Epilogue = std::remove_cvref_t<decltype(epilogue)>;
    const dim3 grid(static_cast<unsigned>(tiles_of(p)), static_cast<unsigned>(ceil_div(padded(p.out), kCols)));
    SIMT_LAUNCH(stem_rows<Epilogue>, grid, kLanes, static_cast<int>(sizeof(bf16)) * kLines * stem_pitch(p.ow), exec.stream, stem_shape(p),
                static_cast<const float*>(a.x), reinterpret_cast<const uint4*>(exec.packed), epilogue);
  };
  bf16* y = static_cast<bf16*>(a.y);
  if (a.statistics.gamma != nullptr) {
    const TileSums sums = TileSums::at(exec.workspace, tiles_of(p), padded(p.out), true);
    launch(StatisticsEpilogue<bf16>{y, a.bias, sums});
    launch_finish(sums, FinishStatistics{a.statistics, p.out, static_cast<double>(p.n) * p.oh * p.ow}, exec.stream);
  } else if (a.y_norm.scale != nullptr) {
    launch(NormEpilogue<bf16>{y, a.bias, a.y_norm, static_cast<const bf16*>(a.residual)});
  } else {
    launch(BiasEpilogue<bf16>{y, a.bias});
  }
}

static_assert(sizeof(bf16) * kLines * stem_pitch(kStemWidest) <= 48 * 1024);

}  // namespace

const Conv2dForward conv2d_forward_stem_bf16{"stem", refuse_stem, workspace, nullptr, run, packed, pack};

}  // namespace sknet::cuda
