// sk_split on CUDA, candidate "octets", backward in bfloat16: the gradients of the branches' raw outputs are written (split_du.h); then a
// block goes through one chunk of the tiles, multiplies each for dx and for the weights' gradients, and copies the next meanwhile.
#include "core/exec.h"
#include "cuda/launch.h"
#include "cuda/octet_multiply.h"
#include "cuda/row_epilogue.h"
#include "cuda/sk_split_close.h"
#include "cuda/sk_split_octets.h"

namespace sknet::cuda {
namespace {

using namespace octets;

// Shared memory: x, the branches' gradients of two tiles; the finished sums of dx lie where the gradients of their tile were.
constexpr int kBlocks = 2 * 132, kShared = (1 + 2 * kBranches) * kTileBytes, kPairBytes = kBranches * kTileBytes;
constexpr int kSumBytes = kWidth * 4 + 32;  // a pixel of dx; half a warp's stores fall into different banks
static_assert(kRows * kCols * kSumBytes <= kPairBytes);

struct Input {
  const bf16* x;
  Normalize norm;
  const bf16* du[kBranches];
};

// Branch, octet and fragment of 32 lanes' sums of the weights' gradients: [chunk][octet][branch][sum][lane][4].
template <bool kWide>
__host__ __device__ constexpr int reduced_floats() {
  return kReduceSums<kWide> * 128;
}

template <bool kWide, class Epilogue>
__global__ void __launch_bounds__(kThreads, 2)
    octet_backward(const __grid_constant__ Plan p, const __grid_constant__ Input in, const uint4* weights, int64_t branch_items,
                   const __grid_constant__ Epilogue epilogue, float* partial) {
  using Work = Job<kWide>;
  SIMT_DYN_SHARED(char, shared);
  char* pairs = shared + kTileBytes;
  const Work job;
  const int t = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y);
  const int first = chunk * p.chunk, end = first + p.chunk < p.tiles() ? first + p.chunk : p.tiles();
  const int branch = warp_of() / kOctets, octet = warp_of() % kOctets, c = c0 + t % kOctets * kOctet;  // of du; of the lane's part of dx
  const bool works = c0 + job.octet * kOctet < p.channels;
  const uint4* items = weights + static_cast<int64_t>(c0 / kOctet + job.octet) / Work::kOuts * Work::kItems + lane_of();
  constexpr int kPatchAt = kHalo * kRowBytes + kHalo * kPixelBytes;
  float reduced[kReduceSums<kWide>][4] = {};
  typename Epilogue::State state;
  if (c < p.channels) epilogue.begin(state, c);
  const auto copy_gradients = [&](int tile) {
    const LaneChunks chunks(p, place_of(p, tile), c0);
#pragma unroll
    for (int m = 0; m < kBranches; ++m) chunks.copy(in.du[m], pairs + ((tile - first) & 1) * kPairBytes + m * kTileBytes);
    cp_async_commit();
  };
  const auto copy_x = [&](int tile) {
    LaneChunks(p, place_of(p, tile), c0).copy(in.x, shared);
    cp_async_commit();
  };
  copy_gradients(first);
  copy_x(first);
#pragma unroll 1
  for (int tile = first; tile < end; ++tile) {
    const Place place = place_of(p, tile);
    char* now = pairs + ((tile - first) & 1) * kPairBytes;
    cp_async_wait<0>();
    if (in.norm.scale != nullptr) LaneChunks(p, place, c0).normalize(in.norm, shared);
    __syncthreads();
    if (tile + 1 < end) copy_gradients(tile + 1);
#pragma unroll 1
    for (int at = kPatchAt; at < kPatchAt + kCols * kPixelBytes; at += kPatch * kPixelBytes) {
      reduce<kWide>(p.dilation[branch], shared + at + (kWide ? octet & ~1 : octet) * 16, now + branch * kTileBytes + at + octet * 16,
                    reduced);
    }
    __syncthreads();
    if (tile + 1 < end) copy_x(tile + 1);
    float sum[4][4] = {};
    if (works) {
#pragma unroll
      for (int m = 0; m < kBranches; ++m) {
        multiply<kWide>(p.dilation[m], now + m * kTileBytes + job.at(), items + m * branch_items, sum);
      }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int fragment = i / 2, half = i % 2,
                pixel = (job.first_row + Work::row_of(fragment) + half) * kCols + job.patch * kPatch + lane_of() / 4;
      *reinterpret_cast<float2*>(now + pixel * kSumBytes + (job.octet + Work::out_of(fragment)) * 32 + (lane_of() & 3) * 8) =
          float2{sum[fragment][half * 2], sum[fragment][half * 2 + 1]};
    }
    __syncthreads();
#pragma unroll 1
    for (int pixel = t / kOctets; pixel < kRows * kCols; pixel += kThreads / kOctets) {
      const int row = place.row + pixel / kCols, col = place.col + pixel % kCols;
      if (row >= p.h || col >= p.w || c >= p.channels) continue;
      const float* from = reinterpret_cast<const float*>(now + pixel * kSumBytes + t % kOctets * 32);
      float v[kOctet];
      load_chunk(from, *reinterpret_cast<float(*)[4]>(v));
      load_chunk(from + 4, *reinterpret_cast<float(*)[4]>(v + 4));
      epilogue.row(state, ((static_cast<int64_t>(place.image) * p.h + row) * p.w + col) * p.channels + c, v);
    }
  }
  if (c0 + octet * kOctet < p.channels) {
    float* to =
        partial +
        ((static_cast<int64_t>(chunk) * (p.channels / kOctet) + c0 / kOctet + octet) * kBranches + branch) * reduced_floats<kWide>() +
        lane_of() * 4;
#pragma unroll
    for (int i = 0; i < kReduceSums<kWide>; ++i) store_chunk(to + i * 128, reduced[i]);
  }
  if constexpr (Epilogue::kSums) {
    // Lanes apart by kOctets have the same channels.
    float* sums = reinterpret_cast<float*>(shared);  // [warp][2][channels]
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kOctet; ++q) {
      float sum = state.sum[q], dot = state.dot[q];
#pragma unroll
      for (int apart = kOctets; apart < 32; apart *= 2) {
        sum += __shfl_xor_sync(~0u, sum, apart);
        dot += __shfl_xor_sync(~0u, dot, apart);
      }
      if (lane_of() >= kOctets) continue;
      sums[warp_of() * 2 * kWidth + lane_of() * kOctet + q] = sum;
      sums[(warp_of() * 2 + 1) * kWidth + lane_of() * kOctet + q] = dot;
    }
    __syncthreads();
    if (t < kWidth && c0 + t < p.channels) {
      float sum = 0, dot = 0;
      for (int warp = 0; warp < kThreads / 32; ++warp) {
        sum += sums[warp * 2 * kWidth + t];
        dot += sums[(warp * 2 + 1) * kWidth + t];
      }
      epilogue.finish(chunk, c0 + t, sum, dot, 0, 0);
    }
  }
}

// Adds the chunks' sums of the weights' gradients in order, a lane a number of a fragment, and writes those that are weights.
template <bool kWide>
__global__ void __launch_bounds__(256)
    add_octet_chunks(const float* partial, const __grid_constant__ Plan p, int c, float* first, float* second) {
  const int64_t apart = static_cast<int64_t>(p.channels / kOctet) * kBranches * reduced_floats<kWide>();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= apart) return;
  const int q = static_cast<int>(i % 4), lane = static_cast<int>(i / 4 % 32), sum = static_cast<int>(i / 128 % kReduceSums<kWide>);
  const int64_t part = i / reduced_floats<kWide>();
  const int octet = static_cast<int>(part / kBranches), o = octet * kOctet + lane % 4 * 2 + q % 2;
  int in = lane / 4, tap = sum;
  if (kWide) {
    in += (octet / 2 * 2 + q / 2) * kOctet;
  } else {
    const bool second_tap = q / 2;
    in += octet * kOctet;
    tap = sum < 3 ? sum * 3 + second_tap : sum == 3 ? (second_tap ? 8 : 2) : 5;
    if (sum == 4 && second_tap) return;
  }
  if (o >= c || in >= c || o / p.width != in / p.width) return;
  double total = 0;
#pragma unroll 8
  for (int chunk = 0; chunk < p.chunks; ++chunk) total += partial[chunk * apart + i];
  float* to = part % kBranches == 0 ? first : second;
  to[(static_cast<int64_t>(o) * p.width + in % p.width) * 9 + tap] = static_cast<float>(total);
}

size_t partial_floats(const Plan& g) {
  const int each = g.wide() ? reduced_floats<true>() : reduced_floats<false>();
  return static_cast<size_t>(g.chunks) * static_cast<size_t>(g.channels / kOctet * kBranches) * static_cast<size_t>(each);
}

// Workspace: du's coefficients, du, the closing's sums, the weights' partial sums.
size_t sums_bytes(const Plan& g) { return TileSums::bytes(g.chunks, g.channels, false); }
size_t workspace(const SkSplitProblem& p) {
  const Plan g = plan(p, kBlocks);
  return du_coefficient_bytes(p) + branch_gradient_bytes<bf16>(p) + sums_bytes(g) + sizeof(float) * partial_floats(g);
}

void pack(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, true, exec); }

template <bool kWide, class Epilogue>
void launch(const Plan& g, const Input& in, const Epilogue& epilogue, float* partial, const Exec& exec) {
  allow_shared(octet_backward<kWide, Epilogue>, kShared);
  SIMT_LAUNCH((octet_backward<kWide, Epilogue>), dim3(g.blocks(), g.chunks), kThreads, kShared, exec.stream, g, in,
              reinterpret_cast<const uint4*>(exec.packed), branch_items(g), epilogue, partial);
}

// No dx is wanted.
struct NoEpilogue {
  static constexpr bool kSums = false;
  struct State {};
  __device__ __forceinline__ void begin(State&, int) const {}
  __device__ __forceinline__ void row(State&, int64_t, float (&)[kOctet]) const {}
};

template <bool kWide>
void run_as(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const Plan g = plan(p, kBlocks);
  const DuCoefficients du = du_coefficients_at(p, exec.workspace);
  const BranchGradients<bf16> gradients = branch_gradients<bf16>(p, exec.workspace + du_coefficient_bytes(p));
  char* memory = exec.workspace + du_coefficient_bytes(p) + branch_gradient_bytes<bf16>(p);
  float* partial = reinterpret_cast<float*>(memory + sums_bytes(g));
  launch_close_branches(p, a, du, exec);
  launch_make_du<bf16>(p, split_gradient<bf16>(p, a, du), gradients, exec);
  Input in{static_cast<const bf16*>(a.x), a.x_norm, {}};
  for (int m = 0; m < kBranches; ++m) in.du[m] = gradients.du[m];
  bf16* dx = static_cast<bf16*>(a.dx);
  if (dx == nullptr) {
    launch<kWide>(g, in, NoEpilogue{}, partial, exec);
  } else if (a.close.u != nullptr) {
    const TileSums sums = TileSums::at(memory, g.chunks, g.channels, false);
    launch<kWide>(g, in, CloseEpilogue<bf16>{dx, a.close, sums}, partial, exec);
    launch_finish(sums, FinishClose{a.close, conv.c, static_cast<double>(conv.n) * conv.h * conv.w}, exec.stream);
  } else {
    launch<kWide>(g, in, AddEpilogue<bf16>{dx, static_cast<const bf16*>(a.add)}, partial, exec);
  }
  const size_t numbers = partial_floats(g) / static_cast<size_t>(g.chunks);
  SIMT_LAUNCH((add_octet_chunks<kWide>), static_cast<unsigned>((numbers + 255) / 256), 256, 0, exec.stream, partial, g, conv.c,
              a.dweight[0], a.dweight[1]);
}

void run(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  plan(p, kBlocks).wide() ? run_as<true>(p, a, exec) : run_as<false>(p, a, exec);
}

}  // namespace

const SkSplitBackward sk_split_backward_octets_bf16{"octets", refuse, workspace, nullptr, run, packed_bytes, pack};

}  // namespace sknet::cuda
