#include "cuda/cublas_product.h"

#include <string>
#include <utility>

#include "core/error.h"
#include "cuda/library_device.h"
#include "vendor/cublas/cublaslt.h"

namespace sknet::cuda {

namespace {

using namespace vendor::cublas;  // NOLINT(google-build-using-namespace): this file is its one user

constexpr uint32_t kAlignment = 64;                  // of every piece of a plan's memory, where cuBLASLt takes 256 bytes for granted
constexpr size_t kMostWorkspace = size_t{32} << 20;  // what cuBLAS itself takes on compute capability 9.0

// What is known of a product. Descriptors live as long as the process, as the library does.
struct Known {
  std::string refused;
  MatmulDesc operation = nullptr;
  MatrixLayout a = nullptr, b = nullptr, d = nullptr;
  Algo algo{};
  size_t workspace = 0;
};

// The first call that fails, in words.
class Calls {
 public:
  explicit Calls(const Api& api) : api_(api) {}
  bool operator()(const char* what, Status status) {
    if (status == kSuccess) return true;
    if (failure_.empty()) failure_ = std::string("cuBLASLt, ") + what + ": " + api_.get_status_string(status);
    return false;
  }
  const std::string& failure() const { return failure_; }

 private:
  const Api& api_;
  std::string failure_;
};

bool describe(const Api& api, const Product& p, Calls& calls, Known& known) {
  const int input = p.bf16 ? kReal16BF : kReal32F, output = p.bf16 && !p.float_result ? kReal16BF : kReal32F;
  const auto layout = [&](MatrixLayout* to, int type, bool transposed, int64_t rows, int64_t columns, int64_t leading) {
    if (transposed) std::swap(rows, columns);
    return calls("describing a matrix", api.layout_create(to, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), leading));
  };
  const int transpose_a = p.transpose_a ? kOpT : kOpN, transpose_b = p.transpose_b ? kOpT : kOpN;
  return calls("describing a product", api.matmul_desc_create(&known.operation, kCompute32F, kReal32F)) &&
         calls("describing a product", api.matmul_desc_set(known.operation, kDescTransA, &transpose_a, sizeof(transpose_a))) &&
         calls("describing a product", api.matmul_desc_set(known.operation, kDescTransB, &transpose_b, sizeof(transpose_b))) &&
         layout(&known.a, input, p.transpose_a, p.m, p.k, p.lda) && layout(&known.b, input, p.transpose_b, p.k, p.n, p.ldb) &&
         layout(&known.d, output, false, p.m, p.n, p.ldd);
}

bool find_algorithm(const Api& api, Handle handle, Calls& calls, Known& known) {
  Preference preference = nullptr;
  if (!calls("asking for an algorithm", api.preference_create(&preference))) return false;
  Heuristic best{};
  int found = 0;
  const auto prefer = [&](int attribute, const auto& value) {
    return calls("asking for an algorithm", api.preference_set(preference, attribute, &value, sizeof(value)));
  };
  bool asked = prefer(kPreferenceMaxWorkspaceBytes, kMostWorkspace);
  for (const int attribute : {kPreferenceMinAlignmentA, kPreferenceMinAlignmentB, kPreferenceMinAlignmentC, kPreferenceMinAlignmentD}) {
    asked = asked && prefer(attribute, kAlignment);
  }
  asked = asked && calls("asking for an algorithm",
                         api.heuristics(handle, known.operation, known.a, known.b, known.d, known.d, preference, 1, &best, &found));
  (void)api.preference_destroy(preference);
  if (!asked) return false;
  if (found == 0) known.refused = "cuBLASLt has no algorithm for it";
  if (found == 0 || !calls("its algorithm", best.state)) return false;
  known.algo = best.algo;
  known.workspace = best.workspace;
  return true;
}

using Device = LibraryDevice<Handle, Product, Known>;

template <class F>
auto with_device(const F& use) {
  const auto start = [](Handle* handle) {
    Calls calls(*api());
    (void)calls("starting", api()->create(handle));
    return calls.failure();
  };
  return with_library_device<Device>(vendor::cublas::report(), "SKNET_CUBLAS_PATH", start, use);
}

Known& known_of(Device& device, const Product& product) {
  const auto [entry, is_new] = device.problems.try_emplace(product);
  Known& known = entry->second;
  if (!is_new) return known;
  Calls calls(*api());
  if (!(describe(*api(), product, calls, known) && find_algorithm(*api(), device.handle, calls, known)) && known.refused.empty()) {
    known.refused = calls.failure();
  }
  return known;
}

}  // namespace

const char* cublas_refused(const Product& product) {
  return with_device([&](Device& device) -> const char* {
    if (!device.refused.empty()) return device.refused.c_str();
    const Known& known = known_of(device, product);
    return known.refused.empty() ? nullptr : known.refused.c_str();
  });
}

size_t cublas_workspace(const Product& product) {
  return with_device([&](Device& device) { return known_of(device, product).workspace; });
}

void cublas_multiply(const Product& product, const void* a, const void* b, const void* c, void* d, const Exec& exec) {
  const auto [handle, known] =
      with_device([&](Device& device) { return std::pair<Handle, const Known*>(device.handle, &known_of(device, product)); });
  const float alpha = 1, beta = c == nullptr ? 0 : 1;
  const Status status = api()->matmul(handle, known->operation, &alpha, a, known->a, b, known->b, &beta, c == nullptr ? d : c, known->d, d,
                                      known->d, &known->algo, exec.workspace, known->workspace, exec.stream);
  if (status == kSuccess) return;
  const std::string words = api()->get_status_string(status);
  throw Error("ERR_SKNET_DEVICE", "cuBLASLt, multiplying: " + words)
      .with_option("device")
      .with_got(words)
      .with_expected("another candidate");
}

}  // namespace sknet::cuda
