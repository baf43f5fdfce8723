// Asynchronous copies and tensor cores of simt.h, for g++.
#pragma once

#include <cstdint>

#include "cuda/simt/emulated/builtins.h"

namespace simt {

// Put off until the lane waits for it: a missing wait, or a missing barrier after it, leaves the poison in place. In the random schedule
// about half of the copies are made at once, and overwrite what others still read where a barrier before them is missing.
void async_copy(void* shared, const void* global, int bytes, bool wanted);
void commit_copies();
void wait_for_copies(int under_way);

void load_matrices(uint32_t* r, int count, bool transposed, const void* row, const Here& here);

enum class Operand { kBf16, kFp16 };
// d[16][8] += a[16][k] b[k][8] by the whole warp, k = 8 or 16.
void multiply(float* d, const uint32_t* a, const uint32_t* b, int k, Operand operand, const Here& here);

}  // namespace simt

namespace sknet::cuda {

inline void cp_async16(void* shared, const void* global, bool wanted = true) { simt::async_copy(shared, global, 16, wanted); }
inline void cp_async8(void* shared, const void* global, bool wanted = true) { simt::async_copy(shared, global, 8, wanted); }
inline void cp_async4(void* shared, const void* global, bool wanted = true) { simt::async_copy(shared, global, 4, wanted); }
inline void cp_async_commit() { simt::commit_copies(); }
template <int N>
void cp_async_wait() {
  simt::wait_for_copies(N);
}

inline void ldmatrix_x1(uint32_t (&r)[1], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 1, false, row, here);
}
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 2, false, row, here);
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 4, false, row, here);
}
inline void ldmatrix_x1_trans(uint32_t (&r)[1], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 1, true, row, here);
}
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 2, true, row, here);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, const simt::Here& here = simt::Here::current()) {
  simt::load_matrices(r, 4, true, row, here);
}

inline void mma_16816(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const simt::Here& here = simt::Here::current()) {
  simt::multiply(d, a, b, 16, simt::Operand::kBf16, here);
}
inline void mma_16816_fp16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const simt::Here& here = simt::Here::current()) {
  simt::multiply(d, a, b, 16, simt::Operand::kFp16, here);
}
inline void mma_1688(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1], const simt::Here& here = simt::Here::current()) {
  simt::multiply(d, a, b, 8, simt::Operand::kBf16, here);
}
inline void mma_1688_fp16(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1], const simt::Here& here = simt::Here::current()) {
  simt::multiply(d, a, b, 8, simt::Operand::kFp16, here);
}

}  // namespace sknet::cuda
