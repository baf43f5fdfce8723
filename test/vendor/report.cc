// Prints what the loaders of the vendors' libraries found, one line each: name, path, version, reason.
#include <cstdio>

#include "vendor/cublas/cublaslt.h"
#include "vendor/cudnn/cudnn.h"
#include "vendor/nccl/nccl.h"

int main() {
  for (const sknet::LibraryReport& r : {sknet::vendor::cudnn::report(), sknet::vendor::cublas::report(), sknet::vendor::nccl::report()}) {
    std::printf("%s\t%s\t%s\t%s\n", r.name.c_str(), r.path.c_str(), r.version.c_str(), r.reason.c_str());
  }
}
