// Compares cublaslt.h with the real header, wherever one is found (test/vendor/abi.test.ts); no part of any build.
#include <cublasLt.h>

#include <cstddef>

#include "same_abi.h"
#include "vendor/cublas/cublaslt.h"

namespace {

using namespace sknet::vendor::cublas;  // NOLINT(google-build-using-namespace): all of it is compared

#define SAME_VALUE(own, theirs) static_assert(static_cast<int>(own) == static_cast<int>(theirs), #own)
#define SAME_CALL(own, theirs) static_assert(sknet::SameAbi<decltype(Api::own), decltype(&theirs)>::value, #own)

SAME_VALUE(kSuccess, CUBLAS_STATUS_SUCCESS);
SAME_VALUE(kCompute32F, CUBLAS_COMPUTE_32F);
SAME_VALUE(kReal32F, CUDA_R_32F);
SAME_VALUE(kReal16BF, CUDA_R_16BF);
SAME_VALUE(kOpN, CUBLAS_OP_N);
SAME_VALUE(kOpT, CUBLAS_OP_T);
SAME_VALUE(kOrderCol, CUBLASLT_ORDER_COL);
SAME_VALUE(kOrderRow, CUBLASLT_ORDER_ROW);
SAME_VALUE(kDescTransA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME_VALUE(kDescTransB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME_VALUE(kLayoutOrder, CUBLASLT_MATRIX_LAYOUT_ORDER);
SAME_VALUE(kPreferenceMaxWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME_VALUE(kPreferenceMinAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME_VALUE(kPreferenceMinAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME_VALUE(kPreferenceMinAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME_VALUE(kPreferenceMinAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);

SAME_CALL(get_version, cublasLtGetVersion);
SAME_CALL(get_status_string, cublasLtGetStatusString);
SAME_CALL(create, cublasLtCreate);
SAME_CALL(destroy, cublasLtDestroy);
SAME_CALL(matmul_desc_create, cublasLtMatmulDescCreate);
SAME_CALL(matmul_desc_destroy, cublasLtMatmulDescDestroy);
SAME_CALL(matmul_desc_set, cublasLtMatmulDescSetAttribute);
SAME_CALL(layout_create, cublasLtMatrixLayoutCreate);
SAME_CALL(layout_destroy, cublasLtMatrixLayoutDestroy);
SAME_CALL(layout_set, cublasLtMatrixLayoutSetAttribute);
SAME_CALL(preference_create, cublasLtMatmulPreferenceCreate);
SAME_CALL(preference_destroy, cublasLtMatmulPreferenceDestroy);
SAME_CALL(preference_set, cublasLtMatmulPreferenceSetAttribute);
SAME_CALL(heuristics, cublasLtMatmulAlgoGetHeuristic);
SAME_CALL(matmul, cublasLtMatmul);

static_assert(sizeof(Algo) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(Heuristic, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

}  // namespace
