#include "cuda/simt/emulated/warpgroup.h"

#include <cstdint>
#include <cstring>

namespace simt {
namespace {

constexpr int kDepth = 16, kWarpgroup = 128;
constexpr uintptr_t kAtom = 1024;

// Element (i, k) of an operand whose i runs over m or n.
struct Matrix {
  const char* start;
  int leading, stride;
  bool across;
  float at(int i, int k) const {
    const int offset = across ? i / 64 * leading + k / 8 * stride + k % 8 * 128 + i % 64 * 2 : i / 8 * stride + i % 8 * 128 + k * 2;
    const uintptr_t linear = reinterpret_cast<uintptr_t>(start) + static_cast<uintptr_t>(offset);
    uint16_t bits;
    memcpy(&bits, reinterpret_cast<const void*>(linear ^ (linear >> 3 & 0x70)), sizeof(bits));
    return sknet::cuda::to_f(sknet::cuda::bf16{bits});
  }
};

void run(const AsyncProduct& p, int lane_in_group) {
  const Matrix a{p.a, p.leading[0], p.stride[0], p.across}, b{p.b, p.leading[1], p.stride[1], p.across};
  const int row = lane_in_group / 32 * 16 + lane_in_group % 32 / 4, column = lane_in_group % 4 * 2;
  float left[2][kDepth];
  for (int i = 0; i < 2; ++i) {
    for (int k = 0; k < kDepth; ++k) left[i][k] = a.at(row + 8 * i, k);
  }
  for (int j = 0; j < p.columns / 8; ++j) {
    for (int half = 0; half < 2; ++half) {
      float sums[2] = {p.d[4 * j + half], p.d[4 * j + 2 + half]};
      for (int k = 0; k < kDepth; ++k) {
        const float right = b.at(8 * j + column + half, k);
        sums[0] += left[0][k] * right;
        sums[1] += left[1][k] * right;
      }
      p.d[4 * j + half] = sums[0];
      p.d[4 * j + 2 + half] = sums[1];
    }
  }
}

}  // namespace

void show_copies() { lane().unshown = false; }

void begin_products() { lane().may_begin = true; }

void start_product(const AsyncProduct& product) {
  Lane& l = lane();
  if (!l.may_begin) block().die("a product of a warpgroup without warpgroup_begin");
  if (block().hides_operands()) block().die("a product of a warpgroup after a barrier, copies before which were not shown");
  // Along, a product may begin at any 16 k of an atom's 64.
  const uintptr_t within = product.across ? kAtom - 1 : (kAtom - 1) & ~uintptr_t{96};
  for (const char* operand : {product.a, product.b}) {
    if ((reinterpret_cast<uintptr_t>(operand) & within) != 0) block().die("a product of a warpgroup with an unaligned operand");
  }
  l.products.push_back(product);
  l.products.back().group = l.product_group;
}

void commit_products() {
  Lane& l = lane();
  l.may_begin = false;
  ++l.product_group;
}

void wait_for_products(int under_way) {
  Lane& l = lane();
  size_t done = 0;
  for (; done < l.products.size() && l.products[done].group < l.product_group - under_way; ++done) run(l.products[done], l.id % kWarpgroup);
  l.products.erase(l.products.begin(), l.products.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace simt
