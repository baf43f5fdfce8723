// Barriers, shuffles, votes and atomics.
#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

__global__ void indices(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] =
      static_cast<int>(threadIdx.z * 100 + threadIdx.y * 10 + threadIdx.x + block * 1000);
}

SIMT_TEST(indices_run_over_all_dimensions) {
  Buffer<int> out(2 * 3 * 4 * 24);
  SIMT_LAUNCH(indices, dim3(2, 3, 4), dim3(2, 3, 4), 0, 0, out.device());
  const auto got = out.read();
  for (int b = 0, i = 0; b < 24; ++b) {
    for (int z = 0; z < 4; ++z) {
      for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 2; ++x, ++i) expect_equal(got[i], z * 100 + y * 10 + x + b * 1000, "index");
      }
    }
  }
}

// Halves the sums that lanes hold until one is left: a barrier a level.
__global__ void tree_sum(const int* x, int* out, int n) {
  SIMT_DYN_SHARED(int, sums);
  const unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  sums[t] = i < static_cast<unsigned>(n) ? x[i] : 0;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) sums[t] += sums[t + half];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = sums[0];
}

SIMT_TEST(barriers_order_shared_memory) {
  std::vector<int> x(1000);
  int expected = 0;
  for (int i = 0; i < 1000; ++i) expected += x[i] = i * i % 97;
  Buffer<int> input(x), out(4);
  SIMT_LAUNCH(tree_sum, 4, 256, 256 * sizeof(int), 0, input.device(), out.device(), 1000);
  int sum = 0;
  for (const int part : out.read()) sum += part;
  expect_equal(sum, expected, "sum");
}

__global__ void shared_arrays(int* out) {
  SIMT_SHARED(int[4][32], a);
  SIMT_SHARED(int[4][32], b);
  const unsigned t = threadIdx.x;
  a[t / 32][t % 32] = static_cast<int>(t);
  b[3 - t / 32][31 - t % 32] = static_cast<int>(1000 * blockIdx.x);
  __syncthreads();
  out[blockIdx.x * 128 + t] = a[3 - t / 32][31 - t % 32] + b[t / 32][t % 32];
}

SIMT_TEST(shared_arrays_belong_to_a_block) {
  Buffer<int> out(5 * 128);
  SIMT_LAUNCH(shared_arrays, 5, 128, 0, 0, out.device());
  const auto got = out.read();
  for (int i = 0; i < 5 * 128; ++i) expect_equal(got[i], 127 - i % 128 + 1000 * (i / 128), "shared");
}

// One warp hands numbers to another through named barriers; the other two warps go on.
__global__ void hand_over(int* out) {
  SIMT_SHARED(int[32], box);
  const unsigned warp = threadIdx.x / 32, t = threadIdx.x % 32;
  if (warp == 0) {
    for (int round = 0; round < 3; ++round) {
      box[t] = static_cast<int>(t) * 10 + round;
      named_barrier_arrive(1, 64);  // full
      named_barrier(2, 64);         // empty again
    }
  } else if (warp == 1) {
    int sum = 0;
    for (int round = 0; round < 3; ++round) {
      named_barrier(1, 64);
      sum += box[31 - t];
      named_barrier_arrive(2, 64);
    }
    out[t] = sum;
  }
  __syncthreads();
}

SIMT_TEST(named_barriers_join_some_warps) {
  Buffer<int> out(32);
  SIMT_LAUNCH(hand_over, 1, 128, 0, 0, out.device());
  const auto got = out.read();
  for (int t = 0; t < 32; ++t) expect_equal(got[t], (31 - t) * 30 + 3, "box");
}

__global__ void shuffles(int* out, double* wide) {
  const int t = static_cast<int>(threadIdx.x), lane = t % 32;
  int* row = out + t * 8;
  row[0] = __shfl_sync(~0u, t, 5);
  row[1] = __shfl_sync(~0u, t, lane + 9, 8);
  row[2] = __shfl_xor_sync(~0u, t, 21);
  row[3] = __shfl_xor_sync(~0u, t, 20, 16);
  row[4] = __shfl_down_sync(~0u, t, 3);
  row[5] = __shfl_down_sync(~0u, t, 3, 8);
  row[6] = __shfl_up_sync(~0u, t, 2, 4);
  // Halves of a warp on their own.
  row[7] = lane < 16 ? __shfl_xor_sync(0x0000ffffu, t, 1) : __shfl_xor_sync(0xffff0000u, t, 2);
  wide[t] = __shfl_xor_sync(~0u, t + 0.5, 1);
}

SIMT_TEST(shuffles_follow_the_isa) {
  Buffer<int> out(64 * 8);
  Buffer<double> wide(64);
  SIMT_LAUNCH(shuffles, 1, 64, 0, 0, out.device(), wide.device());
  const auto got = out.read();
  const auto got_wide = wide.read();
  for (int t = 0; t < 64; ++t) {
    const int lane = t % 32, warp = t - lane;
    // xor beyond a segment: a lower lane's value is there to take, a higher one's is not.
    const int across = lane ^ 20, segment_end = (lane & ~15) + 16;
    const int expected[8] = {warp + 5,
                             warp + (lane & ~7) + (lane + 9) % 8,
                             warp + (lane ^ 21),
                             across < segment_end ? warp + across : t,
                             lane + 3 < 32 ? t + 3 : t,
                             lane % 8 + 3 < 8 ? t + 3 : t,
                             lane % 4 >= 2 ? t - 2 : t,
                             lane < 16 ? t ^ 1 : t ^ 2};
    for (int i = 0; i < 8; ++i) expect_equal(got[t * 8 + i], expected[i], "shuffle " + std::to_string(i) + " of lane " + std::to_string(t));
    expect_equal(got_wide[t], (t ^ 1) + 0.5, "shuffle of a double");
  }
}

__global__ void votes(unsigned* out) {
  const unsigned t = threadIdx.x;
  out[t * 4] = __ballot_sync(~0u, t % 3 == 0);
  out[t * 4 + 1] = static_cast<unsigned>(__any_sync(~0u, t == 40));
  out[t * 4 + 2] = static_cast<unsigned>(__all_sync(~0u, t < 32));
  out[t * 4 + 3] = t % 2 == 0 ? __ballot_sync(0x55555555u, t % 4 == 0) : 0;
  __syncwarp();
}

SIMT_TEST(votes_count_their_own_warp) {
  Buffer<unsigned> out(64 * 4);
  SIMT_LAUNCH(votes, 1, 64, 0, 0, out.device());
  const auto got = out.read();
  for (unsigned t = 0; t < 64; ++t) {
    unsigned thirds = 0;
    for (unsigned i = 0; i < 32; ++i) thirds |= static_cast<unsigned>((t / 32 * 32 + i) % 3 == 0) << i;
    expect_equal(got[t * 4], thirds, "ballot");
    expect_equal(got[t * 4 + 1], t / 32, "any");
    expect_equal(got[t * 4 + 2], 1 - t / 32, "all");
    expect_equal(got[t * 4 + 3], t % 2 == 0 ? 0x11111111u : 0, "ballot of a part");
  }
}

// The last warp is not whole, and lanes leave one after the other.
__global__ void lanes_leave(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  for (int i = 0; i < t; ++i) __syncwarp();
  out[t] = t;
}

SIMT_TEST(lanes_that_left_are_not_waited_for) {
  Buffer<int> out(40);
  SIMT_LAUNCH(lanes_leave, 1, 40, 0, 0, out.device());
  const auto got = out.read();
  for (int t = 0; t < 40; ++t) expect_equal(got[t], t, "lane");
}

struct Totals {
  int i, low, old_sum, exchanged;
  unsigned u, high, tickets;
  float f;
  double d;
  unsigned long long wide;
};

__global__ void atomics(Totals* totals) {
  const int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&totals->i, t);
  atomicAdd(&totals->u, 2u);
  atomicAdd(&totals->f, 0.25f);
  atomicAdd(&totals->d, 0.125);
  atomicAdd(&totals->wide, 1ull << 32);
  atomicMax(&totals->high, static_cast<unsigned>(t * 7 % 512));
  atomicMin(&totals->low, -t);
  atomicExch(&totals->exchanged, 77);
  atomicAdd(&totals->old_sum, static_cast<int>(atomicAdd(&totals->tickets, 1u)));
  unsigned long long seen = totals->wide;  // counts once more, by hand
  for (;;) {
    const unsigned long long before = atomicCAS(&totals->wide, seen, seen + 1);
    if (before == seen) break;
    seen = before;
  }
}

SIMT_TEST(atomics_lose_nothing) {
  Buffer<Totals> out(std::vector<Totals>(1));
  SIMT_LAUNCH(atomics, 8, 64, 0, 0, out.device());
  const Totals got = out.read()[0];
  expect_equal(got.i, 512 * 511 / 2, "int");
  expect_equal(got.u, 1024u, "unsigned");
  expect_equal(got.f, 128.0f, "float");
  expect_equal(got.d, 64.0, "double");
  expect_equal(got.wide, (512ull << 32) + 512, "64 bit");
  expect_equal(got.high, 511u, "max");
  expect_equal(got.low, -511, "min");
  expect_equal(got.exchanged, 77, "exchange");
  expect_equal(got.old_sum, 512 * 511 / 2, "tickets");
}

}  // namespace
