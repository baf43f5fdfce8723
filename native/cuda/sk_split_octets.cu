// sk_split on CUDA, candidate "octets", forward in bfloat16: a block goes through one chunk of the tiles, the next of which is copied while
// one is multiplied, and leaves each branch's statistics once.
#include "core/exec.h"
#include "cuda/launch.h"
#include "cuda/octet_multiply.h"
#include "cuda/row_epilogue.h"
#include "cuda/sk_split_octets.h"

namespace sknet::cuda {
namespace {

using namespace octets;

constexpr int kBlocks = 3 * 132, kStagedBytes = kRows * kCols * kPixelBytes, kShared = 2 * kTileBytes + kBranches * kStagedBytes;

struct Outputs {
  StatisticsEpilogue<bf16> of[kBranches];
};

// Sums of a lane's two channels in each octet of its job, as distances from the first tile's first pixel.
template <int kOuts>
struct LaneStatistics {
  float sum[kOuts][2] = {}, squares[kOuts][2] = {}, pivot[kOuts][2];
};

template <bool kWide, bool kStatistics>
__global__ void __launch_bounds__(kThreads, 3)
    octet_forward(const __grid_constant__ Plan p, const bf16* x, const __grid_constant__ Normalize norm, const uint4* weights,
                  int64_t branch_items, const __grid_constant__ Outputs out) {
  using Work = Job<kWide>;
  constexpr int kOuts = Work::kOuts, kGroups = Work::kGroups;
  SIMT_DYN_SHARED(char, shared);
  char* staged = shared + 2 * kTileBytes;
  const Work job;
  const int t = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y);
  const int first = chunk * p.chunk, end = first + p.chunk < p.tiles() ? first + p.chunk : p.tiles();
  const int column = job.patch * kPatch + lane_of() / 4;
  const bool works = c0 + job.octet * kOctet < p.channels;
  const uint4* items = weights + static_cast<int64_t>(c0 / kOctet + job.octet) / kOuts * Work::kItems + lane_of();
  LaneStatistics<kOuts> statistics[kBranches];
  int pixels = 0;
  LaneChunks(p, place_of(p, first), c0).copy(x, shared);
  cp_async_commit();
#pragma unroll 1
  for (int tile = first; tile < end; ++tile) {
    const Place place = place_of(p, tile);
    char* now = shared + ((tile - first) & 1) * kTileBytes;
    cp_async_wait<0>();
    if (norm.scale != nullptr) LaneChunks(p, place, c0).normalize(norm, now);
    __syncthreads();
    if (tile + 1 < end) LaneChunks(p, place_of(p, tile + 1), c0).copy(x, shared + ((tile + 1 - first) & 1) * kTileBytes);
    cp_async_commit();
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      float sum[4][4] = {};
      if (works) multiply<kWide>(p.dilation[m], now + job.at(), items + m * branch_items, sum);
      if constexpr (kStatistics) {
        LaneStatistics<kOuts>& s = statistics[m];
        if (tile == first) {
#pragma unroll
          for (int o = 0; o < kOuts; ++o) {
#pragma unroll
            for (int q = 0; q < 2; ++q) s.pivot[o][q] = __shfl_sync(~0u, sum[o][q], lane_of() & 3);
          }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const int fragment = i / 2, half = i % 2, o = Work::out_of(fragment);
          if (place.row + job.first_row + Work::row_of(fragment) + half >= p.h || place.col + column >= p.w) continue;
#pragma unroll
          for (int q = 0; q < 2; ++q) {
            const float distance = sum[fragment][half * 2 + q] - s.pivot[o][q];
            s.sum[o][q] += distance;
            s.squares[o][q] += distance * distance;
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int fragment = i / 2, half = i % 2, row = job.first_row + Work::row_of(fragment) + half;
        *reinterpret_cast<uint32_t*>(staged + m * kStagedBytes + (row * kCols + column) * kPixelBytes +
                                     (job.octet + Work::out_of(fragment)) * 16 + (lane_of() & 3) * 4) =
            pack_bf(sum[fragment][half * 2], sum[fragment][half * 2 + 1]);
      }
    }
    const auto inside = [](int size, int all) { return size < 0 ? 0 : size > all ? all : size; };
    pixels += inside(p.h - place.row - job.first_row, Work::kRowsEach) * inside(p.w - place.col - job.patch * kPatch, kPatch);
    __syncthreads();
    const int c = c0 + t % kOctets * kOctet;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int pixel = t / kOctets + i * kThreads / kOctets, row = place.row + pixel / kCols, col = place.col + pixel % kCols;
      if (row >= p.h || col >= p.w || c >= p.channels) continue;
      const int64_t at = ((static_cast<int64_t>(place.image) * p.h + row) * p.w + col) * p.channels + c;
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        *reinterpret_cast<uint4*>(out.of[m].y + at) =
            *reinterpret_cast<const uint4*>(staged + m * kStagedBytes + pixel * kPixelBytes + t % kOctets * 16);
      }
    }
  }
  if constexpr (kStatistics) {
    float *sums = reinterpret_cast<float*>(shared), *pivots = sums + kGroups * 2 * kWidth, *counts = pivots + kGroups * kWidth;
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kOuts * 2; ++i) {
        float sum = statistics[m].sum[i / 2][i % 2], squares = statistics[m].squares[i / 2][i % 2];
#pragma unroll
        for (int apart = 4; apart < 32; apart *= 2) {
          sum += __shfl_xor_sync(~0u, sum, apart);
          squares += __shfl_xor_sync(~0u, squares, apart);
        }
        const int channel = (job.octet + i / 2) * kOctet + (lane_of() & 3) * 2 + i % 2;
        if (lane_of() >= 4) continue;
        sums[job.group * 2 * kWidth + channel] = sum;
        sums[(job.group * 2 + 1) * kWidth + channel] = squares;
        pivots[job.group * kWidth + channel] = statistics[m].pivot[i / 2][i % 2];
      }
      if (job.octet == 0 && lane_of() == 0) counts[job.group] = static_cast<float>(pixels);
      __syncthreads();
      if (t < kWidth && c0 + t < p.channels) finish_groups(out.of[m], sums, kGroups, kWidth, t, chunk, c0 + t);
    }
  }
}

size_t sums_bytes(const Plan& g) { return TileSums::bytes(g.chunks, g.channels, true); }
size_t workspace(const SkSplitProblem& p) { return kBranches * sums_bytes(plan(p, kBlocks)); }

void pack(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, false, exec); }

template <bool kWide, bool kStatistics>
void launch(const Plan& g, const SkSplitForwardArgs& a, const Outputs& out, const Exec& exec) {
  allow_shared(octet_forward<kWide, kStatistics>, kShared);
  SIMT_LAUNCH((octet_forward<kWide, kStatistics>), dim3(g.blocks(), g.chunks), kThreads, kShared, exec.stream, g,
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
  if (g.wide()) {
    statistics ? launch<true, true>(g, a, out, exec) : launch<true, false>(g, a, out, exec);
  } else {
    statistics ? launch<false, true>(g, a, out, exec) : launch<false, false>(g, a, out, exec);
  }
  if (!statistics) return;
  const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
  for (int m = 0; m < kBranches; ++m) launch_finish(out.of[m].out, FinishStatistics{a.statistics[m], conv.out, rows}, exec.stream);
}

}  // namespace

const SkSplitForward sk_split_forward_octets_bf16{"octets", refuse, workspace, nullptr, run, packed_bytes, pack};

}  // namespace sknet::cuda
