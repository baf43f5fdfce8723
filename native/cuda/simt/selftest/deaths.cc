// Kernels with a mistake die of it by name, and leave the device broken until it is repaired. On the emulator only.
#include <algorithm>
#include <cmath>

#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"
#include "cuda/simt/warpgroup.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

// Launches, and expects a death that names the kernel and all of `words`.
template <class... Arguments>
void expect_death(const char* name, void (*kernel)(Arguments...), int lanes, const std::vector<std::string>& words,
                  Arguments... arguments) {
  simt::launch(name, kernel, 2, static_cast<unsigned>(lanes), 0, nullptr, arguments...);
  expect_call(cudaDeviceSynchronize(), cudaErrorLaunchFailure, name);
  expect_call(cudaGetLastError(), cudaErrorLaunchFailure, name);
  expect_call(cudaStreamSynchronize(nullptr), cudaErrorLaunchFailure, "everything after it");
  const std::string death = simt::last_death();
  expect(death.find(std::string("kernel ") + name + ", block (") == 0, "names the kernel: " + death);
  for (const std::string& word : words) expect(death.find(word) != std::string::npos, "'" + word + "' is not in: " + death);
  simt::repair_device();
  expect_call(cudaDeviceSynchronize(), cudaSuccess, "after the repair");
}
#define EXPECT_DEATH(kernel, lanes, ...) expect_death(#kernel, kernel, lanes, __VA_ARGS__)

__global__ void divergent_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void barrier_of_some() {
  if (threadIdx.x < 40) __syncthreads();
}
__global__ void return_before_barrier() {
  if (threadIdx.x == 17) return;
  __syncthreads();
}

SIMT_TEST(death_at_divergent_barriers) {
  EXPECT_DEATH(divergent_barriers, 64, {"different __syncthreads", "lines"});
  EXPECT_DEATH(barrier_of_some, 64, {"returned", "__syncthreads"});
  EXPECT_DEATH(return_before_barrier, 64, {"returned"});
}

__global__ void wrong_mask(int* out) {
  // Says that the upper half takes part; it never does.
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1);
  __syncthreads();
}
__global__ void not_in_mask() { __shfl_xor_sync(0xffffu, 1, 1); }
__global__ void reads_outside_mask() {
  if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, 20);
}
__global__ void mixed_meetings() {
  if (threadIdx.x % 2 == 0) {
    __syncwarp();
  } else {
    __shfl_sync(~0u, 1, 0);
  }
}

SIMT_TEST(death_in_shuffles) {
  Buffer<int> out(64);
  EXPECT_DEATH(wrong_mask, 32, {"deadlock", "a shuffle, line", "__syncthreads, line"}, out.device());
  EXPECT_DEATH(not_in_mask, 32, {"not in its own mask"});
  EXPECT_DEATH(reads_outside_mask, 32, {"reads lane 20 outside its mask"});
  EXPECT_DEATH(mixed_meetings, 32, {"__syncwarp", "a shuffle"});
}

__global__ void barrier_for_too_many() { named_barrier(1, 128); }
__global__ void barrier_of_two_sizes() { named_barrier(2, threadIdx.x < 32 ? 32 * 2 : 32 * 3); }
__global__ void nobody_arrives() { named_barrier(3, 96); }

SIMT_TEST(death_at_named_barriers) {
  EXPECT_DEATH(barrier_for_too_many, 64, {"barrier 1 cannot be one of 128 lanes"});
  EXPECT_DEATH(barrier_of_two_sizes, 96, {"barrier 2 is one of"});
  EXPECT_DEATH(nobody_arrives, 128, {"deadlock", "a named barrier"});
}

__global__ void part_of_a_warp() {
  float d[4] = {};
  const uint32_t a[2] = {}, b[1] = {};
  mma_1688(d, a, b);
}
__global__ void unaligned_row() {
  SIMT_SHARED(bf16[64 * 8], tile);
  uint32_t r[4];
  ldmatrix_x4(r, tile + threadIdx.x * 9);
}
__global__ void unaligned_copy(const int* from) {
  SIMT_SHARED(int[32 * 8], to);
  cp_async16(to + threadIdx.x * 5, from + threadIdx.x * 4);
}

SIMT_TEST(death_in_tensor_instructions) {
  Buffer<int> from(128);
  EXPECT_DEATH(part_of_a_warp, 48, {"mma", "part of a warp"});
  EXPECT_DEATH(unaligned_row, 32, {"ldmatrix", "16-byte aligned"});
  EXPECT_DEATH(unaligned_copy, 32, {"cp_async16 of unaligned"}, static_cast<const int*>(from.device()));
}

template <bool kBarrier>
__global__ void reverse(float* out) {
  SIMT_DYN_SHARED(float, x);
  x[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (kBarrier) __syncthreads();
  out[threadIdx.x] = x[blockDim.x - 1 - threadIdx.x];
}

// Without the barrier some lanes read before others write, in every schedule.
SIMT_TEST(missing_barrier_shows_poison) {
  Buffer<float> out(64);
  SIMT_LAUNCH(reverse<true>, 1, 64, 64 * sizeof(float), nullptr, out.device());
  for (const float v : out.read()) expect(!std::isnan(v), "with the barrier");
  SIMT_LAUNCH(reverse<false>, 1, 64, 64 * sizeof(float), nullptr, out.device());
  int poisoned = 0;
  for (const float v : out.read()) poisoned += std::isnan(v);
  expect(poisoned > 0, "without the barrier");
}

template <bool kWait>
__global__ void copied(const float* in, float* out) {
  SIMT_SHARED(float[128], x);
  cp_async16(&x[threadIdx.x * 4], in + threadIdx.x * 4);
  cp_async_commit();
  if (kWait) cp_async_wait<0>();
  __syncthreads();
  out[threadIdx.x] = x[127 - threadIdx.x];
}

SIMT_TEST(missing_wait_shows_poison) {
  Buffer<float> in(std::vector<float>(128, 1.0f)), out(32);
  SIMT_LAUNCH(copied<true>, 1, 32, 0, nullptr, in.device(), out.device());
  for (const float v : out.read()) expect_equal(v, 1.0f, "with the wait");
  SIMT_LAUNCH(copied<false>, 1, 32, 0, nullptr, in.device(), out.device());
  // Some copies of the random schedule are early.
  const auto got = out.read();
  const auto poisoned = std::count_if(got.begin(), got.end(), [](float v) { return std::isnan(v); });
  expect(simt::settings().schedule == simt::Schedule::kRandom ? poisoned > 0 : poisoned == 32, "without the wait");
}

// A warp reads what another fetches anew.
template <bool kBarrier>
__global__ void overwritten(const float* in, float* out) {
  SIMT_SHARED(float[256], x);
  float* const mine = &x[threadIdx.x * 4];
  for (int q = 0; q < 4; ++q) mine[q] = 0.0f;
  __syncthreads();
  const float read = threadIdx.x < 32 ? __shfl_sync(~0u, x[255 - threadIdx.x], 0) : 0.0f;
  if (kBarrier) __syncthreads();
  if (threadIdx.x >= 32) cp_async16(mine, in + threadIdx.x * 4);
  cp_async_commit();
  __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = read;
  cp_async_wait<0>();
}

// Which warp is ahead differs from block to block.
SIMT_TEST(early_copies_overwrite_what_is_read) {
  if (simt::settings().schedule != simt::Schedule::kRandom) return;
  constexpr size_t kBlocks = 32;
  Buffer<float> in(std::vector<float>(256, 1.0f)), out(kBlocks * 64);
  SIMT_LAUNCH(overwritten<true>, kBlocks, 64, 0, nullptr, in.device(), out.device());
  for (const float v : out.read()) expect_equal(v, 0.0f, "with the barrier");
  SIMT_LAUNCH(overwritten<false>, kBlocks, 64, 0, nullptr, in.device(), out.device());
  const auto got = out.read();
  expect(std::any_of(got.begin(), got.end(), [](float v) { return v != 0.0f; }), "without the barrier");
}

// A warp goes through many meetings while others wait for their turn.
template <bool kBarrier>
__global__ void far_ahead(int* out) {
  SIMT_SHARED(int[64], x);
  x[threadIdx.x] = 1;
  __syncthreads();
  const int read = threadIdx.x < 32 ? x[threadIdx.x + 32] : 1;
  if (kBarrier) __syncthreads();
  int sum = 0;
  for (int i = 0; threadIdx.x >= 32 && i < 10; ++i) sum += __shfl_xor_sync(~0u, i, 1);
  if (threadIdx.x >= 32) x[threadIdx.x] = sum;
  out[blockIdx.x * 64 + threadIdx.x] = read;
}

SIMT_TEST(warps_run_far_ahead) {
  if (simt::settings().schedule != simt::Schedule::kRandom) return;
  constexpr size_t kBlocks = 32;
  Buffer<int> out(kBlocks * 64);
  SIMT_LAUNCH(far_ahead<true>, kBlocks, 64, 0, nullptr, out.device());
  for (const int v : out.read()) expect_equal(v, 1, "with the barrier");
  SIMT_LAUNCH(far_ahead<false>, kBlocks, 64, 0, nullptr, out.device());
  const auto got = out.read();
  expect(std::any_of(got.begin(), got.end(), [](int v) { return v != 1; }), "without the barrier");
}

// One product of zeros by two warpgroups; what is left out of its preparation.
template <bool kShow, bool kBegin>
__global__ void product(const int* zeros) {
  SIMT_DYN_SHARED(char, shared);
  for (int at = static_cast<int>(threadIdx.x) * 16; at < 2 * 16384; at += 256 * 16) cp_async16(shared + at, zeros, false);
  cp_async_commit();
  cp_async_wait<0>();
  if (kShow) show_to_warpgroups();
  __syncthreads();
  float sum[64] = {};
  if (kBegin) warpgroup_begin();
  warpgroup_multiply<false>(sum, shared_matrix(shared, 16, 1024), shared_matrix(shared + 16384, 16, 1024));
  warpgroup_commit();
  warpgroup_wait<0>(sum);
}

SIMT_TEST(death_in_products_of_warpgroups) {
  const int* none = nullptr;
  const auto dies = [&](auto kernel, const char* word) {
    simt::launch("product", kernel, 1, 256, 2 * 16384, nullptr, none);
    expect_call(cudaDeviceSynchronize(), cudaErrorLaunchFailure, word);
    expect(simt::last_death().find(word) != std::string::npos, simt::last_death());
    simt::repair_device();
  };
  dies(product<false, true>, "not shown");
  dies(product<true, false>, "without warpgroup_begin");
  SIMT_LAUNCH((product<true, true>), 1, 256, 2 * 16384, nullptr, none);
  expect_call(cudaDeviceSynchronize(), cudaSuccess, "with both");
}

__global__ void keeps_shared(float* out) {
  SIMT_SHARED(float[32], x);
  out[blockIdx.x * 32 + threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = 1.0f;
}

SIMT_TEST(shared_memory_is_poisoned_for_every_block) {
  Buffer<float> out(8 * 32);
  SIMT_LAUNCH(keeps_shared, 8, 32, 0, nullptr, out.device());
  for (const float v : out.read()) expect(std::isnan(v), "what the block before left");
}

}  // namespace
