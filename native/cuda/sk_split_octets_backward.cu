// sk_split on CUDA, candidate "octets", backward in bfloat16: the gradients of the branches' raw outputs are written (split_du.h); then a
// block goes through one chunk of the tiles, multiplies each for dx and for the weights' gradients, and copies the next meanwhile.
#include "core/exec.h"
#include "cuda/launch.h"
#include "cuda/octet_pack.h"
#include "cuda/octet_reduce.h"
#include "cuda/row_epilogue.h"
#include "cuda/sk_split_close.h"
#include "cuda/sk_split_octets.h"

namespace sknet::cuda {
namespace {

using namespace octets;

constexpr int kBlocks = 2 * 132;
constexpr int kSumBytes = kWidth * 4 + 32;  // a pixel of dx; half a warp's stores fall into different banks

// Shared memory: x, the branches' gradients of two tiles, finished sums of dx. With stride 1 these lie where the gradients of their tile
// were; with stride 2 the gradients are read again for the odd rows. A row's even columns come first.
template <class Shape>
struct Layout {
  static constexpr int kCols = Shape::kStep * Shape::kCols;  // of dx; its rows pass kRows at a time
  static constexpr int kPairBytes = kBranches * Shape::Gradient::kBytes, kSumsBytes = kRows * kCols * kSumBytes;
  static constexpr int kPairs = Shape::Input::kBytes, kSums = kPairs + 2 * kPairBytes;
  static constexpr int kBytes = kSums + (Shape::kStep == 1 ? 0 : kSumsBytes);
  static_assert(Shape::kStep != 1 || kSumsBytes <= kPairBytes);
};

struct Input {
  const bf16* x;
  Normalize norm;
  const bf16* du[kBranches];
};

// No dx is wanted.
struct NoEpilogue {
  static constexpr bool kSums = false;
  struct State {};
  __device__ __forceinline__ void begin(State&, int) const {}
};

// Branch, octet and fragment of 32 lanes' sums of the weights' gradients: [chunk][octet][branch][sum][lane][4].
template <class Shape>
__host__ __device__ constexpr int reduced_floats() {
  return kReduceSums<Shape> * 128;
}

// One branch's share of the even (kOdd 0) or odd rows of dx.
template <class Shape, int kOdd, int kFragments>
__device__ __forceinline__ void add_branch(int dilation, const char* from, const uint4* weights,
                                           float (&sum)[Shape::kStep][kFragments][4]) {
  using Gradient = typename Shape::Gradient;
  if constexpr (Shape::kStep == 1) {
    multiply<Shape, Gradient>(dilation, from, weights, sum[0]);
  } else if (dilation == 1) {
    spread<Shape::kSpan, Gradient, kOdd>(from, weights, sum);
  } else if constexpr (kOdd == 0) {
    // All taps stay among the even rows and columns, where they are one place apart.
    multiply<Shape::kSpan, Gradient, 1>(from, weights, sum[0]);
  }
}

// kReduces: also the weights' gradients.
template <class Shape, bool kReduces, class Epilogue>
__global__ void __launch_bounds__(kThreads, 2)
    octet_backward(const __grid_constant__ Plan p, const __grid_constant__ Input in, const uint4* weights, int64_t branch_items,
                   const __grid_constant__ Epilogue epilogue, float* partial) {
  using Work = Job<Shape, false>;
  using Memory = Layout<Shape>;
  using Gradient = typename Shape::Gradient;
  constexpr bool kWrites = !std::is_same_v<Epilogue, NoEpilogue>;
  SIMT_DYN_SHARED(char, shared);
  char* pairs = shared + Memory::kPairs;
  const Work job;
  const int t = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y);
  const int first = chunk * p.chunk, end = first + p.chunk < p.tiles() ? first + p.chunk : p.tiles();
  const int branch = warp_of() / kOctets, octet = warp_of() % kOctets, c = c0 + t % kOctets * kOctet;  // of du; of the lane's part of dx
  const bool works = c0 + job.octet * kOctet < p.channels;
  const uint4* items = weights + static_cast<int64_t>(c0 / kOctet + job.octet) / Shape::kOuts * Shape::kItems + lane_of();
  float reduced[kReduceSums<Shape>][4] = {};
  typename Epilogue::State state;
  if (c < p.channels) epilogue.begin(state, c);
  const auto x_chunks = [&](int tile) { return LaneChunks<typename Shape::Input>(place_of<Shape>(p, tile), p.h, p.w, p.channels, c0); };
  const auto copy_gradients = [&](int tile) {
    const LaneChunks<Gradient> chunks(place_of<Shape>(p, tile), p.oh, p.ow, p.channels, c0);
#pragma unroll
    for (int m = 0; m < kBranches; ++m) {
      chunks.copy(in.du[m], pairs + ((tile - first) & 1) * Memory::kPairBytes + m * Gradient::kBytes);
    }
    cp_async_commit();
  };
  const auto copy_x = [&](int tile) {
    x_chunks(tile).copy(in.x, shared);
    cp_async_commit();
  };
  copy_gradients(first);
  if constexpr (kReduces) copy_x(first);
#pragma unroll 1
  for (int tile = first; tile < end; ++tile) {
    char* now = pairs + ((tile - first) & 1) * Memory::kPairBytes;
    cp_async_wait<0>();
    if constexpr (kReduces) {
      if (in.norm.scale != nullptr) x_chunks(tile).normalize(in.norm, shared);
    }
    __syncthreads();
    if (tile + 1 < end) copy_gradients(tile + 1);
    if constexpr (kReduces) {
#pragma unroll
      for (int at = 0; at < Shape::kPatches * kPatch * kPixelBytes; at += kPatch * kPixelBytes) {
        reduce<Shape>(p.dilation[branch], shared + at + octet / Shape::kSpan * Shape::kSpan * 16,
                      now + branch * Gradient::kBytes + at + octet * 16, reduced);
      }
      __syncthreads();
      if (tile + 1 < end) copy_x(tile + 1);
    }
    if constexpr (kWrites) {
      const Place place = place_of<Shape>(p, tile);
      char* sums = Shape::kStep == 1 ? now : shared + Memory::kSums;
      const auto write_rows = [&]<int kOdd>() {
        float sum[Shape::kStep][Work::kFragments][4] = {};
        if (works) {
#pragma unroll
          for (int m = 0; m < kBranches; ++m) {
            add_branch<Shape, kOdd>(p.dilation[m], now + m * Gradient::kBytes + job.template at<Gradient>(), items + m * branch_items, sum);
          }
        }
        // With stride 1 others read the gradients, in odd rows the sums of the even ones; those of the tile before are behind a barrier.
        if constexpr (Shape::kStep == 1 || kOdd != 0) __syncthreads();
#pragma unroll
        for (int i = 0; i < 2 * Shape::kStep * Work::kFragments; ++i) {
          const int side = i % Shape::kStep, half = i / Shape::kStep % 2, fragment = i / Shape::kStep / 2;
          const int pixel =
              (job.first_row + Work::row_of(fragment) + half) * Memory::kCols + side * Shape::kCols + job.patch * kPatch + lane_of() / 4;
          *reinterpret_cast<float2*>(sums + pixel * kSumBytes + (job.octet + Work::out_of(fragment)) * 32 + (lane_of() & 3) * 8) =
              float2{sum[side][fragment][half * 2], sum[side][fragment][half * 2 + 1]};
        }
        __syncthreads();
        // A lane stays in its column.
        constexpr int kApart = kThreads / kOctets / Memory::kCols;
        const int to_row = t / kOctets / Memory::kCols, to_col = t / kOctets % Memory::kCols;
        const int row = (place.row + to_row) * Shape::kStep + kOdd;
        const int col = (place.col + to_col % Shape::kCols) * Shape::kStep + to_col / Shape::kCols;
        const char* from = sums + t / kOctets * kSumBytes + t % kOctets * 32;
        int64_t at = ((static_cast<int64_t>(place.image) * p.h + row) * p.w + col) * p.channels + c;
#pragma unroll 1
        for (int left = col < p.w && c < p.channels ? min(p.h - row, (kRows - to_row) * Shape::kStep) : 0; left > 0;
             left -= kApart * Shape::kStep) {
          float v[kOctet];
          load_chunk(reinterpret_cast<const float*>(from), *reinterpret_cast<float(*)[4]>(v));
          load_chunk(reinterpret_cast<const float*>(from) + 4, *reinterpret_cast<float(*)[4]>(v + 4));
          epilogue.row(state, at, v);
          from += kThreads / kOctets * kSumBytes;
          at += static_cast<int64_t>(kApart * Shape::kStep) * p.w * p.channels;
        }
      };
      write_rows.template operator()<0>();
      if constexpr (Shape::kStep == 2) write_rows.template operator()<1>();
    }
  }
  if (kReduces && c0 + octet * kOctet < p.channels) {
    float* to =
        partial +
        ((static_cast<int64_t>(chunk) * (p.channels / kOctet) + c0 / kOctet + octet) * kBranches + branch) * reduced_floats<Shape>() +
        lane_of() * 4;
#pragma unroll
    for (int i = 0; i < kReduceSums<Shape>; ++i) store_chunk(to + i * 128, reduced[i]);
  }
  if constexpr (Epilogue::kSums) {
    // Lanes apart by kOctets have the same channels. The place of x is free since the last tile's sums of dx were complete.
    float* sums = reinterpret_cast<float*>(shared);  // [warp][2][channels]
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
      for (int warp = 0; warp < kWarps; ++warp) {
        sum += sums[warp * 2 * kWidth + t];
        dot += sums[(warp * 2 + 1) * kWidth + t];
      }
      epilogue.finish(chunk, c0 + t, sum, dot, 0, 0);
    }
  }
}

// Adds the chunks' sums of the weights' gradients in order, a lane a number of a fragment, and writes those that are weights.
template <class Shape>
__global__ void __launch_bounds__(256)
    add_octet_chunks(const float* partial, const __grid_constant__ Plan p, int c, float* first, float* second) {
  const int64_t apart = static_cast<int64_t>(p.channels / kOctet) * kBranches * reduced_floats<Shape>();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= apart) return;
  const int q = static_cast<int>(i % 4), lane = static_cast<int>(i / 4 % 32), sum = static_cast<int>(i / 128 % kReduceSums<Shape>);
  const int64_t part = i / reduced_floats<Shape>();
  const int octet = static_cast<int>(part / kBranches), o = octet * kOctet + lane % 4 * 2 + q % 2;
  int in = lane / 4, tap = sum;
  if (Shape::kSpan > 1) {
    in += (octet / Shape::kSpan * Shape::kSpan + sum / 9 * 2 + q / 2) * kOctet;
    tap = sum % 9;
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
  const int each = with_shape(g.width, g.stride, []<class S>() { return reduced_floats<S>(); });
  return static_cast<size_t>(g.chunks) * static_cast<size_t>(g.channels / kOctet * kBranches) * static_cast<size_t>(each);
}

// Workspace: du's coefficients, du, the closing's sums, the weights' partial sums.
size_t sums_bytes(const Plan& g) { return TileSums::bytes(g.chunks, g.channels, false); }
size_t workspace(const SkSplitProblem& p) {
  const Plan g = plan(p, kBlocks);
  return du_coefficient_bytes(p) + branch_gradient_bytes<bf16>(p) + sums_bytes(g) + sizeof(float) * partial_floats(g);
}

void pack(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, true, exec); }

template <class Shape, bool kReduces, class Epilogue>
void launch(const Plan& g, const Input& in, const Epilogue& epilogue, float* partial, const Exec& exec) {
  constexpr int kShared = Layout<Shape>::kBytes;
  allow_shared(octet_backward<Shape, kReduces, Epilogue>, kShared);
  SIMT_LAUNCH((octet_backward<Shape, kReduces, Epilogue>), dim3(g.blocks(), g.chunks), kThreads, kShared, exec.stream, g, in,
              reinterpret_cast<const uint4*>(exec.packed), branch_items(g), epilogue, partial);
}

template <class Shape>
void run_as(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  // The sums of four octets' weights leave no registers for dx.
  constexpr bool kAtOnce = Shape::kSpan < 4;
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
  if (dx == nullptr || !kAtOnce) launch<Shape, true>(g, in, NoEpilogue{}, partial, exec);
  if (dx != nullptr && a.close.u != nullptr) {
    const TileSums sums = TileSums::at(memory, g.chunks, g.channels, false);
    launch<Shape, kAtOnce>(g, in, CloseEpilogue<bf16>{dx, a.close, sums}, partial, exec);
    launch_finish(sums, FinishClose{a.close, conv.c, static_cast<double>(conv.n) * conv.h * conv.w}, exec.stream);
  } else if (dx != nullptr) {
    launch<Shape, kAtOnce>(g, in, AddEpilogue<bf16>{dx, static_cast<const bf16*>(a.add)}, partial, exec);
  }
  const size_t numbers = partial_floats(g) / static_cast<size_t>(g.chunks);
  SIMT_LAUNCH((add_octet_chunks<Shape>), static_cast<unsigned>((numbers + 255) / 256), 256, 0, exec.stream, partial, g, conv.c,
              a.dweight[0], a.dweight[1]);
}

void run(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  with_shape(p.conv[0].c / p.conv[0].groups, p.conv[0].stride, [&]<class S>() { run_as<S>(p, a, exec); });
}

}  // namespace

const SkSplitBackward sk_split_backward_octets_bf16{"octets", refuse, workspace, nullptr, run, packed_bytes, pack};

}  // namespace sknet::cuda
