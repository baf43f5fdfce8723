// Products of a warpgroup, operands along and across, against the layout of warpgroup.h written out once more, element by element.
#include "cuda/simt/selftest/check.h"
#include "cuda/simt/warpgroup.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

constexpr int kRows = 128, kDepth = 64;

// c[m][n] of [kRows][kCols] += a b by two warpgroups. Along: a[m][k], b[n][k]; across: a[k][m], b[k][n].
template <int kCols, bool kAcross>
__global__ void products(const bf16* a, const bf16* b, float* c) {
  SIMT_DYN_SHARED(char, shared);
  const int t = static_cast<int>(threadIdx.x);
  const auto place = [](int i, int k) {  // of element (i, k), i along m or n
    const int line = kAcross ? k : i, chunk = kAcross ? i % 64 / 8 : k / 8, block = kAcross ? i / 64 * kDepth * 128 : 0;
    return block + line * 128 + ((chunk ^ (line & 7)) * 16) + (kAcross ? i : k) % 8 * 2;
  };
  char* const b_tile = shared + kRows * kDepth * 2;
  for (int e = t; e < kRows * kDepth; e += 256) {
    const int i = kAcross ? e % kRows : e / kDepth, k = kAcross ? e / kRows : e % kDepth;
    *reinterpret_cast<bf16*>(shared + place(i, k)) = a[e];
  }
  for (int e = t; e < kCols * kDepth; e += 256) {
    const int i = kAcross ? e % kCols : e / kDepth, k = kAcross ? e / kCols : e % kDepth;
    *reinterpret_cast<bf16*>(b_tile + place(i, k)) = b[e];
  }
  show_to_warpgroups();
  __syncthreads();
  const int group = t / 128, leading = kAcross ? kDepth * 128 : 16;
  const SharedMatrix rows = shared_matrix(shared + group * 64 * 128, leading, 1024), cols = shared_matrix(b_tile, leading, 1024);
  float sum[kCols / 2] = {};
  warpgroup_begin();
  for (int k = 0; k < kDepth; k += 16) {
    const int bytes = k * (kAcross ? 128 : 2);
    warpgroup_multiply<kAcross>(sum, moved(rows, bytes), moved(cols, bytes));
  }
  warpgroup_commit();
  warpgroup_wait<0>(sum);
  const int row = t / 32 * 16 + t % 32 / 4, col = t % 4 * 2;
  for (int j = 0; j < kCols / 8; ++j) {
    for (int i = 0; i < 4; ++i) c[(row + i / 2 * 8) * kCols + j * 8 + col + i % 2] = sum[4 * j + i];
  }
}

template <int kCols, bool kAcross>
void check_products() {
  Numbers random(kCols + kAcross);
  std::vector<bf16> a(kRows * kDepth), b(kCols * kDepth);
  for (auto& v : a) v = to_bf(random.next());
  for (auto& v : b) v = to_bf(random.next());
  Buffer<bf16> on_a(a), on_b(b);
  Buffer<float> c(kRows * kCols);
  SIMT_LAUNCH((products<kCols, kAcross>), 1, 256, (kRows + kCols) * kDepth * 2, 0, on_a.device(), on_b.device(), c.device());
  const auto got = c.read();
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kCols; ++n) {
      double expected = 0;
      for (int k = 0; k < kDepth; ++k) {
        const auto at = [&](const std::vector<bf16>& x, int i, int count) {
          return static_cast<double>(to_f(x[static_cast<size_t>(kAcross ? k * count + i : i * kDepth + k)]));
        };
        expected += at(a, m, kRows) * at(b, n, kCols);
      }
      expect_near(got[static_cast<size_t>(m * kCols + n)], expected, kDepth * 16 * 0x1p-23,
                  "element " + std::to_string(m) + ", " + std::to_string(n));
    }
  }
}

SIMT_TEST(warpgroups_along) {
  check_products<64, false>();
  check_products<128, false>();
}
SIMT_TEST(warpgroups_across) {
  check_products<64, true>();
  check_products<128, true>();
}

}  // namespace
