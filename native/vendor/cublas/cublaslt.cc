#include "vendor/cublas/cublaslt.h"

#include <string>

namespace sknet::vendor::cublas {

namespace {

// CUDA 13's library first, else CUDA 12's: the calls used here are the same in both.
constexpr LibrarySearch kSearches[] = {{.name = "cuBLASLt",
                                        .variable = "SKNET_CUBLAS_PATH",
                                        .soname = "libcublasLt.so.13",
                                        .folder = "cu13/lib",
                                        .help = "Install cuBLAS (package libcublas-13-0, or pip's nvidia-cublas)"},
                                       {.name = "cuBLASLt",
                                        .variable = "SKNET_CUBLAS_PATH",
                                        .soname = "libcublasLt.so.12",
                                        .folder = "cublas/lib",
                                        .help = "Install cuBLAS (package libcublas-12-0, or pip's nvidia-cublas-cu12)"}};

struct Loaded {
  Api api{};
  Library library;
  size_t version = 0;

  Loaded() {
    for (const LibrarySearch& search : kSearches) {
      Library found = open_library(search);
      resolve(found, search,
              {{reinterpret_cast<void**>(&api.get_version), "cublasLtGetVersion"},
               {reinterpret_cast<void**>(&api.get_status_string), "cublasLtGetStatusString"},
               {reinterpret_cast<void**>(&api.create), "cublasLtCreate"},
               {reinterpret_cast<void**>(&api.destroy), "cublasLtDestroy"},
               {reinterpret_cast<void**>(&api.matmul_desc_create), "cublasLtMatmulDescCreate"},
               {reinterpret_cast<void**>(&api.matmul_desc_destroy), "cublasLtMatmulDescDestroy"},
               {reinterpret_cast<void**>(&api.matmul_desc_set), "cublasLtMatmulDescSetAttribute"},
               {reinterpret_cast<void**>(&api.layout_create), "cublasLtMatrixLayoutCreate"},
               {reinterpret_cast<void**>(&api.layout_destroy), "cublasLtMatrixLayoutDestroy"},
               {reinterpret_cast<void**>(&api.layout_set), "cublasLtMatrixLayoutSetAttribute"},
               {reinterpret_cast<void**>(&api.preference_create), "cublasLtMatmulPreferenceCreate"},
               {reinterpret_cast<void**>(&api.preference_destroy), "cublasLtMatmulPreferenceDestroy"},
               {reinterpret_cast<void**>(&api.preference_set), "cublasLtMatmulPreferenceSetAttribute"},
               {reinterpret_cast<void**>(&api.heuristics), "cublasLtMatmulAlgoGetHeuristic"},
               {reinterpret_cast<void**>(&api.matmul), "cublasLtMatmul"}});
      if (found.handle != nullptr) {
        library = found;
        version = api.get_version();
        return;
      }
      if (library.error.empty()) library.error = found.error;
    }
  }
};

const Loaded& loaded() {
  static const Loaded once;
  return once;
}

// 130101 is 13.1.1; CUDA 12 counted 120304 the same way.
std::string version_text(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

}  // namespace

const Api* api() { return loaded().library.handle == nullptr ? nullptr : &loaded().api; }

LibraryReport report() {
  const Loaded& l = loaded();
  return {kSearches[0].name, l.library.path, l.version == 0 ? "" : version_text(l.version), l.library.error};
}

}  // namespace sknet::vendor::cublas
