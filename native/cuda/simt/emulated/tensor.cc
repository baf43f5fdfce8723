#include "cuda/simt/emulated/tensor.h"

#include <cstring>

namespace simt {
namespace {

bool is_aligned(const void* p, uintptr_t bytes) { return (reinterpret_cast<uintptr_t>(p) & (bytes - 1)) == 0; }

void need_whole_warp(const char* what, const Here& here) {
  if (block().warp().alive != ~0u) block().die("%s, line %u, by part of a warp", what, here.line());
}

// Where elements lie in the lanes' registers, PTX ISA, mma.m16n8k8 and m16n8k16: of lane 4 g + t, register r holds of
//   a: row g + 8 (r & 1), columns 2 t + 8 (r >> 1) and the next;  b: rows 2 t + 8 r and the next, column g;
//   d: value v, row g + 8 (v >> 1), column 2 t + (v & 1).
// operands[lane]: a's registers at 0, b's at 4, d's at 6.
template <Operand kOperand, int kDepth>
void multiply_warp(Warp& w) {
  const auto element = [](uint32_t pair, int half) {
    const uint16_t bits = static_cast<uint16_t>(half == 0 ? pair : pair >> 16);
    if constexpr (kOperand == Operand::kBf16) return sknet::cuda::to_f(sknet::cuda::bf16{bits});
    return sknet::cuda::to_f(sknet::cuda::fp16{bits});
  };
  float a[16][kDepth], b[kDepth][8], d[16][8];
  for (int lane = 0; lane < kWarp; ++lane) {
    const int g = lane >> 2, t = lane & 3;
    const uint32_t* in = w.operands[lane];
    for (int r = 0; r < kDepth / 4; ++r) {
      for (int half = 0; half < 2; ++half) a[g + 8 * (r & 1)][2 * t + 8 * (r >> 1) + half] = element(in[r], half);
    }
    for (int r = 0; r < kDepth / 8; ++r) {
      for (int half = 0; half < 2; ++half) b[2 * t + 8 * r + half][g] = element(in[4 + r], half);
    }
    for (int v = 0; v < 4; ++v) memcpy(&d[g + 8 * (v >> 1)][2 * t + (v & 1)], &in[6 + v], sizeof(float));
  }
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < kDepth; ++k) {
      for (int n = 0; n < 8; ++n) d[m][n] += a[m][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    const int g = lane >> 2, t = lane & 3;
    for (int v = 0; v < 4; ++v) memcpy(&w.operands[lane][6 + v], &d[g + 8 * (v >> 1)][2 * t + (v & 1)], sizeof(float));
  }
}

void land(AsyncCopy& copy) {
  if (copy.global == nullptr) {
    memset(copy.shared, 0, static_cast<size_t>(copy.bytes));
  } else {
    memcpy(copy.shared, copy.global, static_cast<size_t>(copy.bytes));
  }
  copy.landed = true;
}

}  // namespace

uint32_t vote(uint32_t mask, bool v, const Here& here) {
  const uint64_t* slots = block().meet(mask, v ? 1 : 0, Meeting::kVote, static_cast<int>(here.line()));
  uint32_t votes = 0;
  for (int i = 0; i < kWarp; ++i) {
    if ((mask >> i & 1) != 0 && slots[i] == 1) votes |= 1u << i;
  }
  return votes;
}

void async_copy(void* shared, const void* global, int bytes, bool wanted) {
  const uintptr_t size = static_cast<uintptr_t>(bytes);
  if (!is_aligned(shared, size) || (wanted && !is_aligned(global, size))) block().die("cp_async%d of unaligned memory", bytes);
  Lane& l = lane();
  l.copies.push_back({shared, wanted ? global : nullptr, bytes, l.group, false});
  if (block().flip()) land(l.copies.back());
}

void commit_copies() { ++lane().group; }

void wait_for_copies(int under_way) {
  Lane& l = lane();
  size_t done = 0;
  for (; done < l.copies.size() && l.copies[done].group < l.group - under_way; ++done) {
    if (!l.copies[done].landed) land(l.copies[done]);
  }
  l.unshown |= done != 0;
  l.copies.erase(l.copies.begin(), l.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

void load_matrices(uint32_t* r, int count, bool transposed, const void* row, const Here& here) {
  need_whole_warp("ldmatrix", here);
  const uint64_t* slots = block().meet(~0u, reinterpret_cast<uint64_t>(row), Meeting::kMatrixLoad, static_cast<int>(here.line()));
  const int g = lane().in_warp >> 2, t = lane().in_warp & 3;
  for (int m = 0; m < count; ++m) {
    const auto row_at = [&](int i) {
      const char* p = reinterpret_cast<const char*>(slots[8 * m + i]);
      if (!is_aligned(p, 16)) block().die("ldmatrix, line %u, of a row that is not 16-byte aligned", here.line());
      return p;
    };
    if (!transposed) {
      memcpy(&r[m], row_at(g) + 4 * t, 4);
    } else {
      uint16_t low, high;
      memcpy(&low, row_at(2 * t) + 2 * g, 2);
      memcpy(&high, row_at(2 * t + 1) + 2 * g, 2);
      r[m] = low | static_cast<uint32_t>(high) << 16;
    }
  }
}

void multiply(float* d, const uint32_t* a, const uint32_t* b, int k, Operand operand, const Here& here) {
  need_whole_warp("mma", here);
  uint32_t* mine = block().warp().operands[lane().in_warp];
  memcpy(mine, a, static_cast<size_t>(k));  // k / 4 registers
  memcpy(mine + 4, b, static_cast<size_t>(k / 2));
  memcpy(mine + 6, d, 4 * sizeof(float));
  void (*const run)(Warp&) = operand == Operand::kBf16 ? (k == 16 ? multiply_warp<Operand::kBf16, 16> : multiply_warp<Operand::kBf16, 8>)
                                                       : (k == 16 ? multiply_warp<Operand::kFp16, 16> : multiply_warp<Operand::kFp16, 8>);
  block().meet(~0u, static_cast<uint64_t>(k) << 1 | (operand == Operand::kFp16), Meeting::kMatrixMultiply, static_cast<int>(here.line()),
               run);
  memcpy(d, mine + 6, 4 * sizeof(float));
}

}  // namespace simt
