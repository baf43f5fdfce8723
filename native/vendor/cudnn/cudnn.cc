#include "vendor/cudnn/cudnn.h"

#include <string>

namespace sknet::vendor::cudnn {

namespace {

constexpr size_t kOldest = 90000;

constexpr LibrarySearch kSearch = {.name = "cuDNN",
                                   .variable = "SKNET_CUDNN_PATH",
                                   .soname = "libcudnn.so.9",
                                   .folder = "cudnn/lib",
                                   .help = "Install cuDNN 9 (package cudnn9-cuda-13, or pip's nvidia-cudnn-cu13)"};

std::string version_text(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

struct Loaded {
  Api api{};
  Library library;
  size_t version = 0;

  Loaded() : library(open_library(kSearch)) {
    resolve(library, kSearch,
            {{reinterpret_cast<void**>(&api.get_version), "cudnnGetVersion"},
             {reinterpret_cast<void**>(&api.get_error_string), "cudnnGetErrorString"},
             {reinterpret_cast<void**>(&api.get_last_error_string), "cudnnGetLastErrorString"},
             {reinterpret_cast<void**>(&api.create), "cudnnCreate"},
             {reinterpret_cast<void**>(&api.destroy), "cudnnDestroy"},
             {reinterpret_cast<void**>(&api.set_stream), "cudnnSetStream"},
             {reinterpret_cast<void**>(&api.descriptor_create), "cudnnBackendCreateDescriptor"},
             {reinterpret_cast<void**>(&api.descriptor_destroy), "cudnnBackendDestroyDescriptor"},
             {reinterpret_cast<void**>(&api.set_attribute), "cudnnBackendSetAttribute"},
             {reinterpret_cast<void**>(&api.get_attribute), "cudnnBackendGetAttribute"},
             {reinterpret_cast<void**>(&api.finalize), "cudnnBackendFinalize"},
             {reinterpret_cast<void**>(&api.execute), "cudnnBackendExecute"}});
    if (library.handle == nullptr) return;
    version = api.get_version();
    if (version >= kOldest) return;
    library.error = library.path + " is cuDNN " + version_text(version) + "; " + kSearch.help;
    library.handle = nullptr;
  }
};

const Loaded& loaded() {
  static const Loaded once;
  return once;
}

}  // namespace

const Api* api() { return loaded().library.handle == nullptr ? nullptr : &loaded().api; }

LibraryReport report() {
  const Loaded& l = loaded();
  return {kSearch.name, l.library.path, l.version == 0 ? "" : version_text(l.version), l.library.error};
}

}  // namespace sknet::vendor::cudnn
