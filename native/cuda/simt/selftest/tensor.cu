// ldmatrix and mma against the fragment tables of the PTX ISA, written out here once more, element by element.
#include <cmath>

#include "cuda/simt/selftest/check.h"
#include "cuda/simt/simt.h"

namespace {

using namespace sknet::cuda;
using namespace simt_test;

// ldmatrix of four 8 x 8 matrices that lie one below the other, rows 24 elements apart.
template <int kCount, bool kTransposed>
__global__ void load(const uint16_t* in, uint32_t* out) {
  SIMT_SHARED(uint16_t[32 * 24], rows);
  const unsigned t = threadIdx.x;
  for (unsigned i = t; i < 32 * 24; i += 32) rows[i] = in[i];
  __syncthreads();
  uint32_t r[kCount];
  const uint16_t* row = rows + t * 24 + 8;
  if constexpr (kCount == 1) {
    kTransposed ? ldmatrix_x1_trans(r, row) : ldmatrix_x1(r, row);
  } else if constexpr (kCount == 2) {
    kTransposed ? ldmatrix_x2_trans(r, row) : ldmatrix_x2(r, row);
  } else {
    kTransposed ? ldmatrix_x4_trans(r, row) : ldmatrix_x4(r, row);
  }
  for (int i = 0; i < kCount; ++i) out[t * kCount + static_cast<unsigned>(i)] = r[i];
}

template <int kCount, bool kTransposed>
void check_load() {
  std::vector<uint16_t> x(32 * 24);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i * 3 + 1);
  Buffer<uint16_t> in(x);
  Buffer<uint32_t> out(32 * kCount);
  SIMT_LAUNCH((load<kCount, kTransposed>), 1, 32, 0, 0, in.device(), out.device());
  const auto got = out.read();
  for (int t = 0; t < 32; ++t) {
    for (int m = 0; m < kCount; ++m) {
      // Lane t holds of matrix m: row t / 4, columns 2 (t % 4) and the next; transposed: column t / 4, rows 2 (t % 4) and the next.
      const auto element = [&](int half) {
        const int across = t % 4 * 2 + half, row = kTransposed ? across : t / 4, column = kTransposed ? t / 4 : across;
        return x[static_cast<size_t>((8 * m + row) * 24 + 8 + column)];
      };
      expect_equal(got[static_cast<size_t>(t * kCount + m)], element(0) | static_cast<uint32_t>(element(1)) << 16,
                   "lane " + std::to_string(t));
    }
  }
}

SIMT_TEST(ldmatrix_as_in_the_isa) {
  check_load<1, false>();
  check_load<2, false>();
  check_load<4, false>();
  check_load<1, true>();
  check_load<2, true>();
  check_load<4, true>();
}

// d = a b + d with fragments gathered by the tables: groupID = lane >> 2, threadID_in_group = lane % 4.
template <int kDepth, bool kFp16>
__global__ void multiply(const uint16_t* a, const uint16_t* b, float* d) {
  const int group = static_cast<int>(threadIdx.x) >> 2, in_group = static_cast<int>(threadIdx.x) % 4;
  uint32_t fa[kDepth / 4], fb[kDepth / 8];
  for (int i = 0; i < kDepth / 2; ++i) {  // a_i
    const int row = kDepth == 8 ? (i < 2 ? group : group + 8) : ((i >= 0 && i < 2) || (i >= 4 && i < 6) ? group : group + 8);
    const int column = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
    const uint32_t bits = a[row * kDepth + column];
    fa[i / 2] = i % 2 == 0 ? bits : fa[i / 2] | bits << 16;
  }
  for (int i = 0; i < kDepth / 4; ++i) {  // b_i
    const int row = in_group * 2 + (i & 1) + (i < 2 ? 0 : 8);
    const uint32_t bits = b[row * 8 + group];
    fb[i / 2] = i % 2 == 0 ? bits : fb[i / 2] | bits << 16;
  }
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)];
  if constexpr (kDepth == 16) {
    kFp16 ? mma_16816_fp16(sums, fa, fb) : mma_16816(sums, fa, fb);
  } else {
    kFp16 ? mma_1688_fp16(sums, fa, fb) : mma_1688(sums, fa, fb);
  }
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = sums[i];
}

template <int kDepth, bool kFp16>
void check_multiply() {
  Numbers random(kDepth + kFp16);
  const auto narrow = [](float v) { return kFp16 ? to_fp16(v).x : to_bf(v).x; };
  const auto widen = [](uint16_t v) { return kFp16 ? to_f(fp16{v}) : to_f(bf16{v}); };
  std::vector<uint16_t> a(16 * kDepth), b(kDepth * 8);
  std::vector<float> d(16 * 8);
  for (auto& v : a) v = narrow(random.next());
  for (auto& v : b) v = narrow(random.next());
  for (auto& v : d) v = random.next();
  Buffer<uint16_t> on_a(a), on_b(b);
  Buffer<float> on_d(d);
  SIMT_LAUNCH((multiply<kDepth, kFp16>), 1, 32, 0, 0, on_a.device(), on_b.device(), on_d.device());
  const auto got = on_d.read();
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      double expected = d[static_cast<size_t>(m * 8 + n)];
      for (int k = 0; k < kDepth; ++k)
        expected += static_cast<double>(widen(a[static_cast<size_t>(m * kDepth + k)])) * widen(b[static_cast<size_t>(k * 8 + n)]);
      // Exact products; kDepth sums in fp32 of numbers below 16.
      expect_near(got[static_cast<size_t>(m * 8 + n)], expected, kDepth * 16 * 0x1p-23,
                  "element " + std::to_string(m) + ", " + std::to_string(n));
    }
  }
}

SIMT_TEST(mma_as_in_the_isa) {
  check_multiply<16, false>();
  check_multiply<16, true>();
  check_multiply<8, false>();
  check_multiply<8, true>();
}

// As kernels use them: c[m][n] = sum of a[m][k] b[n][k] by ldmatrix, and of b[k][n] by its transposed form.
__global__ void gemm(const bf16* a, const bf16* b, const bf16* b_rows, float* c, float* c_rows) {
  SIMT_SHARED(bf16[3][16][24], tile);
  const unsigned t = threadIdx.x;
  for (unsigned i = t; i < 256; i += 32) {
    tile[0][i / 16][i % 16] = a[i];
    tile[1][i / 16][i % 16] = b[i];
    tile[2][i / 16][i % 16] = b_rows[i];
  }
  __syncthreads();
  uint32_t fa[4], fb[4], fr[4];
  ldmatrix_x4(fa, &tile[0][t & 15][(t >> 4) * 8]);
  ldmatrix_x4(fb, &tile[1][(t & 7) + (t >> 4) * 8][(t >> 3 & 1) * 8]);
  ldmatrix_x4_trans(fr, &tile[2][t & 15][(t >> 4) * 8]);
  for (int half = 0; half < 2; ++half) {
    float d[4] = {}, e[4] = {};
    const uint32_t pair[2] = {fb[2 * half], fb[2 * half + 1]}, pair_rows[2] = {fr[2 * half], fr[2 * half + 1]};
    mma_16816(d, fa, pair);
    mma_16816(e, fa, pair_rows);
    for (int i = 0; i < 4; ++i) {
      const unsigned at = ((t >> 2) + (i >> 1) * 8u) * 16 + half * 8u + (t & 3) * 2 + (i & 1);
      c[at] = d[i];
      c_rows[at] = e[i];
    }
  }
}

SIMT_TEST(ldmatrix_feeds_mma) {
  Numbers random(3);
  std::vector<bf16> a(256), b(256), b_rows(256);
  for (auto& v : a) v = to_bf(random.next());
  for (auto& v : b) v = to_bf(random.next());
  for (size_t i = 0; i < 256; ++i) b_rows[i] = b[i % 16 * 16 + i / 16];
  Buffer<bf16> on_a(a), on_b(b), on_rows(b_rows);
  Buffer<float> c(256), c_rows(256);
  SIMT_LAUNCH(gemm, 1, 32, 0, 0, on_a.device(), on_b.device(), on_rows.device(), c.device(), c_rows.device());
  const auto got = c.read(), got_rows = c_rows.read();
  for (size_t i = 0; i < 256; ++i) {
    double expected = 0;
    for (size_t k = 0; k < 16; ++k) expected += static_cast<double>(to_f(a[i / 16 * 16 + k])) * to_f(b[i % 16 * 16 + k]);
    expect_near(got[i], expected, 16 * 16 * 0x1p-23, "c " + std::to_string(i));
    expect_near(got_rows[i], expected, 16 * 16 * 0x1p-23, "c by rows " + std::to_string(i));
  }
}

}  // namespace
