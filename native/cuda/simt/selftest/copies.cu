// Asynchronous copies: groups, sizes, zero fill.
#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

// A pipeline of `kStages` groups: out = in, every fourth element zero.
template <int kStages>
__global__ void through_shared(const int* in, int* out, int tiles) {
  SIMT_DYN_SHARED(int, stage);  // [kStages][4 * lanes]
  const int t = static_cast<int>(threadIdx.x), width = 4 * static_cast<int>(blockDim.x);
  const auto load = [&](int tile) {
    if (tile < tiles) {
      int* to = stage + tile % kStages * width;
      const int* from = in + tile * width;
      cp_async8(to + 4 * t, from + 4 * t);
      cp_async4(to + 4 * t + 2, from + 4 * t + 2);
      cp_async4(to + 4 * t + 3, from, false);
    }
    cp_async_commit();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) load(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    load(tile + kStages - 1);
    cp_async_wait<kStages - 1>();
    __syncthreads();
    for (int i = 0; i < 4; ++i) {
      const int at = i * static_cast<int>(blockDim.x) + t;  // mostly what other lanes loaded
      out[tile * width + at] = stage[tile % kStages * width + at];
    }
    __syncthreads();
  }
}

SIMT_TEST(async_copies_form_a_pipeline) {
  constexpr int kTiles = 7, kLanes = 64;
  std::vector<int> x(kTiles * kLanes * 4);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int>(i) + 1;
  Buffer<int> input(x);
  for (int stages = 1; stages <= 3; ++stages) {
    Buffer<int> out(x.size());
    const size_t bytes = static_cast<size_t>(stages) * kLanes * 16;
    const auto kernel = stages == 1 ? through_shared<1> : stages == 2 ? through_shared<2> : through_shared<3>;
    SIMT_LAUNCH(kernel, 1, kLanes, bytes, 0, input.device(), out.device(), kTiles);
    const auto got = out.read();
    for (size_t i = 0; i < x.size(); ++i) expect_equal(got[i], i % 4 == 3 ? 0 : x[i], "element " + std::to_string(i));
  }
}

__global__ void sizes(const int* in, int* out) {
  SIMT_SHARED(int[32][8], row);
  const unsigned t = threadIdx.x;
  cp_async16(&row[t][0], in + t * 8);
  cp_async8(&row[t][4], in + t * 8 + 4, t % 2 == 0);
  cp_async4(&row[t][6], in + t * 8 + 6, t % 3 == 0);
  cp_async4(&row[t][7], in + t * 8 + 7);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  for (int i = 0; i < 8; ++i) out[t * 8 + static_cast<unsigned>(i)] = row[31 - t][i];
}

SIMT_TEST(async_copies_of_every_size) {
  std::vector<int> x(256);
  for (int i = 0; i < 256; ++i) x[static_cast<size_t>(i)] = i + 1;
  Buffer<int> input(x), out(256);
  SIMT_LAUNCH(sizes, 1, 32, 0, 0, input.device(), out.device());
  const auto got = out.read();
  for (int t = 0; t < 32; ++t) {
    for (int i = 0; i < 8; ++i) {
      const int from = 31 - t;
      const bool zero = ((i == 4 || i == 5) && from % 2 != 0) || (i == 6 && from % 3 != 0);
      expect_equal(got[static_cast<size_t>(t * 8 + i)], zero ? 0 : from * 8 + i + 1, "copy");
    }
  }
}

}  // namespace
