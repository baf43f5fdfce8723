#include "cuda/libraries.h"

#include <cstdlib>

#include "vendor/cublas/cublaslt.h"
#include "vendor/cudnn/cudnn.h"
#include "vendor/nccl/nccl.h"

namespace sknet::cuda {

void list_libraries(void (*visit)(void* context, const plugin::LibraryData* library), void* context) {
  for (const LibraryReport& report : {vendor::cudnn::report(), vendor::cublas::report(), vendor::nccl::report()}) {
    const plugin::LibraryData data{report.name.c_str(), report.path.c_str(), report.version.c_str(), report.reason.c_str()};
    visit(context, &data);
  }
}

std::string library_refused(const LibraryReport& report, const char* variable) {
#ifdef SKNET_CUDA_EMULATED
  const char* named = std::getenv(variable);
  if (named == nullptr || *named == '\0') return report.name + " is not for the emulated device";
#else
  (void)variable;
#endif
  return report.reason;
}

}  // namespace sknet::cuda
