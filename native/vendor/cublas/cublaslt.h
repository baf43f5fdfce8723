// The part of cuBLASLt's interface that matrix products need, declared here so that nothing of CUDA's libraries is needed to build. Names
// without their prefix; values and layouts as in cublasLt.h of CUDA 12 and 13 (test/vendor compares them where the real header is found).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/library.h"

namespace sknet::vendor::cublas {

using Handle = struct HandleOpaque*;
using MatmulDesc = struct MatmulDescOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using Preference = struct PreferenceOpaque*;
using Status = int;
using Stream = void*;  // cudaStream_t

constexpr Status kSuccess = 0;
constexpr int kCompute32F = 68;                  // cublasComputeType_t
constexpr int kReal32F = 0, kReal16BF = 14;      // cudaDataType_t
constexpr int kOpN = 0, kOpT = 1;                // cublasOperation_t
constexpr int kOrderCol = 0, kOrderRow = 1;      // cublasLtOrder_t
constexpr int kDescTransA = 3, kDescTransB = 4;  // cublasLtMatmulDescAttributes_t
constexpr int kLayoutOrder = 1;                  // cublasLtMatrixLayoutAttribute_t
constexpr int kPreferenceMaxWorkspaceBytes = 1, kPreferenceMinAlignmentA = 5, kPreferenceMinAlignmentB = 6, kPreferenceMinAlignmentC = 7,
              kPreferenceMinAlignmentD = 8;  // cublasLtMatmulPreferenceAttributes_t

struct Algo {
  uint64_t data[8];
};

struct Heuristic {
  Algo algo;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

struct Api {
  size_t (*get_version)();
  const char* (*get_status_string)(Status status);
  Status (*create)(Handle* handle);
  Status (*destroy)(Handle handle);
  Status (*matmul_desc_create)(MatmulDesc* desc, int compute, int scale);
  Status (*matmul_desc_destroy)(MatmulDesc desc);
  Status (*matmul_desc_set)(MatmulDesc desc, int attribute, const void* value, size_t bytes);
  Status (*layout_create)(MatrixLayout* layout, int type, uint64_t rows, uint64_t columns, int64_t leading);
  Status (*layout_destroy)(MatrixLayout layout);
  Status (*layout_set)(MatrixLayout layout, int attribute, const void* value, size_t bytes);
  Status (*preference_create)(Preference* preference);
  Status (*preference_destroy)(Preference preference);
  Status (*preference_set)(Preference preference, int attribute, const void* value, size_t bytes);
  Status (*heuristics)(Handle handle, MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d,
                       Preference preference, int wanted, Heuristic* results, int* found);
  Status (*matmul)(Handle handle, MatmulDesc desc, const void* alpha, const void* a, MatrixLayout a_layout, const void* b,
                   MatrixLayout b_layout, const void* beta, const void* c, MatrixLayout c_layout, void* d, MatrixLayout d_layout,
                   const Algo* algo, void* workspace, size_t workspace_bytes, Stream stream);
};

// Opened at the first call; null where cuBLASLt cannot be used, and report() says why.
const Api* api();
LibraryReport report();

}  // namespace sknet::vendor::cublas
