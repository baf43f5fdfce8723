// Matrix products by cuBLASLt, T1 of the candidates: what it says of a product (its algorithm, workspace, or why it takes none) is asked
// once a device and process. Sums in float32; float32 operands are not cut to TF32.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "core/exec.h"

namespace sknet::cuda {

// D [m, n] = op(A) [m, k] op(B) [k, n] + beta C, all by columns as cuBLAS has it; C lies as D does.
struct Product {
  bool transpose_a, transpose_b;
  int64_t m, n, k, lda, ldb, ldd;
  bool bf16;          // A and B; else all are float32
  bool float_result;  // D and C, where A and B are bfloat16
  auto operator<=>(const Product&) const = default;
};

// Why cuBLASLt does not take it on the calling thread's device; null where it does.
const char* cublas_refused(const Product& product);
// Bytes, of one that it takes.
size_t cublas_workspace(const Product& product);
// c: null, or added. Throws Error ERR_SKNET_DEVICE with cuBLASLt's own words.
void cublas_multiply(const Product& product, const void* a, const void* b, const void* c, void* d, const Exec& exec);

}  // namespace sknet::cuda
