// sk_split on CUDA, candidate "octets", forward in bfloat16: a block goes through one chunk of the tiles, the next of which is copied while
// one is multiplied, and leaves each branch's statistics once.
#include "core/exec.h"
#include "cuda/launch.h"
#include "cuda/octet_multiply.h"
#include "cuda/octet_pack.h"
#include "cuda/row_epilogue.h"
#include "cuda/sk_split_octets.h"

namespace sknet::cuda {
namespace {

using namespace octets;

constexpr int kBlocks = 3 * 132;

template <class Shape>
inline constexpr int kStagedBytes = kRows * Shape::kCols * kPixelBytes;  // of a branch's outputs

struct Outputs {
  StatisticsEpilogue<bf16> of[kBranches];
};

// Sums of a lane's two channels in each octet of its job, as distances from the first tile's first pixel.
template <int kOuts>
struct LaneStatistics {
  float sum[kOuts][2] = {}, squares[kOuts][2] = {}, pivot[kOuts][2];
};

// How many pixels of the tiles from `first` to `end` are a job's: counted when all is done, as a lane has no register to spare before.
template <class Shape>
__device__ __forceinline__ int pixels_of(const Plan& p, const Job<Shape, true>& job, int first, int end) {
  const auto inside = [](int size, int all) { return size < 0 ? 0 : size > all ? all : size; };
  int pixels = 0;
  for (int tile = first; tile < end; ++tile) {
    const Place place = place_of<Shape>(p, tile);
    pixels += inside(p.oh - place.row - job.first_row, Job<Shape, true>::kRowsEach) * inside(p.ow - place.col - job.patch * kPatch, kPatch);
  }
  return pixels;
}

template <class Shape, bool kStatistics>
__global__ void __launch_bounds__(kThreads, 3)
    octet_forward(const __grid_constant__ Plan p, const bf16* x, const __grid_constant__ Normalize norm, const uint4* weights,
                  int64_t branch_items, const __grid_constant__ Outputs out) {
  using Input = typename Shape::Input;
  using Work = Job<Shape, true>;
  constexpr int kOuts = Shape::kOuts, kGroups = Work::kGroups, kCols = Shape::kCols, kEach = kBranches / Work::kBranchParts;
  SIMT_DYN_SHARED(char, shared);
  char* staged = shared + 2 * Input::kBytes;
  const Work job;
  const int t = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y);
  const int first = chunk * p.chunk, end = first + p.chunk < p.tiles() ? first + p.chunk : p.tiles();
  const int column = job.patch * kPatch + lane_of() / 4;
  const bool works = c0 + job.octet * kOctet < p.channels;
  const uint4* items = weights + static_cast<int64_t>(c0 / kOctet + job.octet) / kOuts * Shape::kItems + lane_of();
  const auto chunks_of = [&](const Place& place) { return LaneChunks<Input>(place, p.h, p.w, p.channels, c0); };
  LaneStatistics<kOuts> statistics[kEach];
  chunks_of(place_of<Shape>(p, first)).copy(x, shared);
  cp_async_commit();
#pragma unroll 1
  for (int tile = first; tile < end; ++tile) {
    const Place place = place_of<Shape>(p, tile);
    char* now = shared + ((tile - first) & 1) * Input::kBytes;
    cp_async_wait<0>();
    if (norm.scale != nullptr) chunks_of(place).normalize(norm, now);
    __syncthreads();
    if (tile + 1 < end) chunks_of(place_of<Shape>(p, tile + 1)).copy(x, shared + ((tile + 1 - first) & 1) * Input::kBytes);
    cp_async_commit();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int m = job.first_branch + i;
      float sum[Work::kFragments][4] = {};
      if (works) multiply<Shape, Input>(p.dilation[m], now + job.template at<Input>(), items + m * branch_items, sum);
      if constexpr (kStatistics) {
        LaneStatistics<kOuts>& s = statistics[i];
        if (tile == first) {
#pragma unroll
          for (int o = 0; o < kOuts; ++o) {
#pragma unroll
            for (int q = 0; q < 2; ++q) s.pivot[o][q] = __shfl_sync(~0u, sum[o][q], lane_of() & 3);
          }
        }
#pragma unroll
        for (int j = 0; j < 2 * Work::kFragments; ++j) {
          const int fragment = j / 2, half = j % 2, o = Work::out_of(fragment);
          if (place.row + job.first_row + Work::row_of(fragment) + half >= p.oh || place.col + column >= p.ow) continue;
#pragma unroll
          for (int q = 0; q < 2; ++q) {
            const float distance = sum[fragment][half * 2 + q] - s.pivot[o][q];
            s.sum[o][q] += distance;
            s.squares[o][q] += distance * distance;
          }
        }
      }
#pragma unroll
      for (int j = 0; j < 2 * Work::kFragments; ++j) {
        const int fragment = j / 2, half = j % 2, row = job.first_row + Work::row_of(fragment) + half;
        *reinterpret_cast<uint32_t*>(staged + m * kStagedBytes<Shape> + (row * kCols + column) * kPixelBytes +
                                     (job.octet + Work::out_of(fragment)) * 16 + (lane_of() & 3) * 4) =
            pack_bf(sum[fragment][half * 2], sum[fragment][half * 2 + 1]);
      }
    }
    __syncthreads();
    const int c = c0 + t % kOctets * kOctet;
#pragma unroll
    for (int i = 0; i < kRows * kCols * kOctets / kThreads; ++i) {
      const int pixel = t / kOctets + i * kThreads / kOctets, row = place.row + pixel / kCols, col = place.col + pixel % kCols;
      if (row >= p.oh || col >= p.ow || c >= p.channels) continue;
      const int64_t at = ((static_cast<int64_t>(place.image) * p.oh + row) * p.ow + col) * p.channels + c;
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        *reinterpret_cast<uint4*>(out.of[m].y + at) =
            *reinterpret_cast<const uint4*>(staged + m * kStagedBytes<Shape> + pixel * kPixelBytes + t % kOctets * 16);
      }
    }
  }
  if constexpr (kStatistics) {
    // No tile is read any more: a branch's sums take the place.
    constexpr int kFloats = (3 * kWidth + 1) * kGroups;
    static_assert(kBranches * kFloats * static_cast<int>(sizeof(float)) <= 2 * Input::kBytes);
    float* const all = reinterpret_cast<float*>(shared);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      float *sums = all + (job.first_branch + i) * kFloats, *pivots = sums + kGroups * 2 * kWidth, *counts = pivots + kGroups * kWidth;
#pragma unroll
      for (int j = 0; j < kOuts * 2; ++j) {
        float sum = statistics[i].sum[j / 2][j % 2], squares = statistics[i].squares[j / 2][j % 2];
#pragma unroll
        for (int apart = 4; apart < 32; apart *= 2) {
          sum += __shfl_xor_sync(~0u, sum, apart);
          squares += __shfl_xor_sync(~0u, squares, apart);
        }
        const int channel = (job.octet + j / 2) * kOctet + (lane_of() & 3) * 2 + j % 2;
        if (lane_of() >= 4) continue;
        sums[job.group * 2 * kWidth + channel] = sum;
        sums[(job.group * 2 + 1) * kWidth + channel] = squares;
        pivots[job.group * kWidth + channel] = statistics[i].pivot[j / 2][j % 2];
      }
      if (job.octet == 0 && lane_of() == 0) counts[job.group] = static_cast<float>(pixels_of(p, job, first, end));
    }
    __syncthreads();
    const int m = t / kWidth, column_of = t % kWidth;
    if (m < kBranches && c0 + column_of < p.channels) {
      finish_groups(out.of[m], all + m * kFloats, kGroups, kWidth, column_of, chunk, c0 + column_of);
    }
  }
}

size_t sums_bytes(const Plan& g) { return TileSums::bytes(g.chunks, g.channels, true); }
size_t workspace(const SkSplitProblem& p) { return kBranches * sums_bytes(plan(p, kBlocks)); }

void pack(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, false, exec); }

template <class Shape, bool kStatistics>
void launch(const Plan& g, const SkSplitForwardArgs& a, const Outputs& out, const Exec& exec) {
  constexpr int kShared = 2 * Shape::Input::kBytes + kBranches * kStagedBytes<Shape>;
  allow_shared(octet_forward<Shape, kStatistics>, kShared);
  SIMT_LAUNCH((octet_forward<Shape, kStatistics>), dim3(g.blocks(), g.chunks), kThreads, kShared, exec.stream, g,
              static_cast<const bf16*>(a.x), a.x_norm, reinterpret_cast<const uint4*>(exec.packed), branch_items(g), out);
}

void run(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const Plan g = plan(p, kBlocks);
  const Conv2dProblem& conv = p.conv[0];
  const bool statistics = a.statistics[0].gamma != nullptr;
  Outputs out{};
  for (int m = 0; m < kBranches; ++m) {
    out.of[m].y = static_cast<bf16*>(a.u[m]);
    if (statistics) out.of[m].out = TileSums::at(exec.workspace + static_cast<size_t>(m) * sums_bytes(g), g.chunks, g.channels, true);
  }
  with_shape(g.width, g.stride, [&]<class S>() { statistics ? launch<S, true>(g, a, out, exec) : launch<S, false>(g, a, out, exec); });
  if (!statistics) return;
  const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
  for (int m = 0; m < kBranches; ++m) launch_finish(out.of[m].out, FinishStatistics{a.statistics[m], conv.out, rows}, exec.stream);
}

}  // namespace

const SkSplitForward sk_split_forward_octets_bf16{"octets", refuse, workspace, nullptr, run, packed_bytes, pack};

}  // namespace sknet::cuda
