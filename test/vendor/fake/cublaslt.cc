// A libcublasLt.so.13 for the emulated device: the calls that sknet makes, checked as the library documents them and calculated in float64.
// With SKNET_FAKE_LIBRARY=refuse it has no algorithm for anything, with "fail" its products fail.
#include "vendor/cublas/cublaslt.h"

#include "emulator.h"

namespace {

using sknet::vendor::cublas::Algo;
using sknet::vendor::cublas::Heuristic;

constexpr int kSuccess = 0, kInvalidValue = 7, kExecutionFailed = 13, kNotSupported = 15;
constexpr int kFloat = 0, kBfloat16 = 14, kCompute32F = 68, kOpN = 0, kOpT = 1;
constexpr size_t kWorkspace = 512;
constexpr uint64_t kAlgorithm = 0x5eed;

struct Operation {
  int a = kOpN, b = kOpN;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};
};
int handle;

// Whether the four describe a product; m, n and k are D's and the summed dimension.
bool fits(const Operation& op, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
  const uint64_t k = op.a == kOpT ? a.rows : a.columns, m = op.a == kOpT ? a.columns : a.rows;
  const uint64_t kb = op.b == kOpT ? b.columns : b.rows, n = op.b == kOpT ? b.rows : b.columns;
  const bool types = a.type == b.type && c.type == d.type && (a.type == kFloat ? d.type == kFloat : d.type == kFloat || d.type == kBfloat16);
  for (const Layout* each : {&a, &b, &c, &d}) {
    if (each->leading < static_cast<int64_t>(each->rows)) return false;
  }
  return types && k == kb && m == d.rows && n == d.columns && c.rows == d.rows && c.columns == d.columns;
}

bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130101; }
const char* cublasLtGetStatusString(int status) {
  return status == kExecutionFailed ? "CUBLAS_STATUS_EXECUTION_FAILED"
         : status == kNotSupported  ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                    : "CUBLAS_STATUS_INVALID_VALUE";
}
int cublasLtCreate(void** to) { return *to = &handle, kSuccess; }
int cublasLtDestroy(void*) { return kSuccess; }

int cublasLtMatmulDescCreate(Operation** to, int compute, int scale) {
  if (compute != kCompute32F || scale != kFloat) return kNotSupported;
  return *to = new Operation, kSuccess;
}
int cublasLtMatmulDescDestroy(Operation* p) { return delete p, kSuccess; }
int cublasLtMatmulDescSetAttribute(Operation* p, int attribute, const void* value, size_t bytes) {
  if (bytes != sizeof(int) || (attribute != 3 && attribute != 4)) return kInvalidValue;
  std::memcpy(attribute == 3 ? &p->a : &p->b, value, bytes);
  return kSuccess;
}

int cublasLtMatrixLayoutCreate(Layout** to, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  if (type != kFloat && type != kBfloat16) return kNotSupported;
  return *to = new Layout{type, rows, columns, leading}, kSuccess;
}
int cublasLtMatrixLayoutDestroy(Layout* p) { return delete p, kSuccess; }
int cublasLtMatrixLayoutSetAttribute(Layout*, int, const void*, size_t) { return kNotSupported; }

int cublasLtMatmulPreferenceCreate(Preference** to) { return *to = new Preference, kSuccess; }
int cublasLtMatmulPreferenceDestroy(Preference* p) { return delete p, kSuccess; }
int cublasLtMatmulPreferenceSetAttribute(Preference* p, int attribute, const void* value, size_t bytes) {
  if (attribute == 1 && bytes == sizeof(uint64_t)) return std::memcpy(&p->workspace, value, bytes), kSuccess;
  if (attribute >= 5 && attribute <= 8 && bytes == sizeof(uint32_t)) return std::memcpy(&p->alignment[attribute - 5], value, bytes), kSuccess;
  return kInvalidValue;
}

int cublasLtMatmulAlgoGetHeuristic(void* lt, const Operation* op, const Layout* a, const Layout* b, const Layout* c, const Layout* d,
                                   const Preference* preference, int wanted, Heuristic* results, int* found) {
  *found = 0;
  if (lt != &handle || wanted < 1 || !fits(*op, *a, *b, *c, *d)) return kInvalidValue;
  if (sknet::fake::told_to("refuse")) return kNotSupported;
  for (const uint32_t alignment : preference->alignment) {
    if (alignment > 64) return kNotSupported;  // a plan's memory is not aligned to more
  }
  if (preference->workspace < kWorkspace) return kNotSupported;
  results[0] = {};
  results[0].algo.data[0] = kAlgorithm;
  results[0].workspace = kWorkspace;
  *found = 1;
  return kSuccess;
}

int cublasLtMatmul(void* lt, const Operation* op, const void* alpha, const void* a, const Layout* al, const void* b, const Layout* bl,
                   const void* beta, const void* c, const Layout* cl, void* d, const Layout* dl, const Algo* algo, void* workspace,
                   size_t workspace_bytes, void* stream) {
  if (lt != &handle || !fits(*op, *al, *bl, *cl, *dl) || algo->data[0] != kAlgorithm || workspace_bytes < kWorkspace) return kInvalidValue;
  for (const void* p : {a, b, c, static_cast<const void*>(d)}) {
    if (!is_aligned(p)) return kInvalidValue;
  }
  if (sknet::fake::told_to("fail")) return kExecutionFailed;
  const double by = *static_cast<const float*>(alpha), plus = *static_cast<const float*>(beta);
  const auto work = [op = *op, al = *al, bl = *bl, cl = *cl, dl = *dl, a, b, c, d, by, plus, workspace] {
    std::memset(workspace, 0xff, kWorkspace);
    const auto inputs = al.type == kBfloat16, results = dl.type == kBfloat16;
    const int64_t depth = static_cast<int64_t>(op.a == kOpT ? al.rows : al.columns);
    for (int64_t j = 0; j < static_cast<int64_t>(dl.columns); ++j) {
      for (int64_t i = 0; i < static_cast<int64_t>(dl.rows); ++i) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum += sknet::fake::load(a, op.a == kOpT ? k + i * al.leading : i + k * al.leading, inputs) *
                 sknet::fake::load(b, op.b == kOpT ? j + k * bl.leading : k + j * bl.leading, inputs);
        }
        sum *= by;
        if (plus != 0) sum += plus * sknet::fake::load(c, i + j * cl.leading, results);
        sknet::fake::store(d, i + j * dl.leading, results, sum);
      }
    }
  };
  return sknet::fake::submit(stream, work) ? kSuccess : kExecutionFailed;
}

}  // extern "C"
