#include "vendor/nccl/nccl.h"

namespace sknet::vendor::nccl {

namespace {

constexpr int kOldest = 21800;  // ncclCommInitRankConfig with splitShare, and abort of a communicator that is still starting

constexpr LibrarySearch kSearch = {.name = "NCCL",
                                   .variable = "SKNET_NCCL_PATH",
                                   .soname = "libnccl.so.2",
                                   .folder = "nccl/lib",
                                   .help = "Install NCCL 2.18 or later (package libnccl2, or pip's nvidia-nccl-cu13)"};

std::string version_text(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

struct Loaded {
  Api api{};
  Library library;
  int version = 0;

  Loaded() : library(open_library(kSearch)) {
    resolve(library, kSearch,
            {{reinterpret_cast<void**>(&api.get_version), "ncclGetVersion"},
             {reinterpret_cast<void**>(&api.get_unique_id), "ncclGetUniqueId"},
             {reinterpret_cast<void**>(&api.comm_init_rank_config), "ncclCommInitRankConfig"},
             {reinterpret_cast<void**>(&api.comm_finalize), "ncclCommFinalize"},
             {reinterpret_cast<void**>(&api.comm_destroy), "ncclCommDestroy"},
             {reinterpret_cast<void**>(&api.comm_abort), "ncclCommAbort"},
             {reinterpret_cast<void**>(&api.comm_get_async_error), "ncclCommGetAsyncError"},
             {reinterpret_cast<void**>(&api.get_error_string), "ncclGetErrorString"},
             {reinterpret_cast<void**>(&api.get_last_error), "ncclGetLastError"},
             {reinterpret_cast<void**>(&api.group_start), "ncclGroupStart"},
             {reinterpret_cast<void**>(&api.group_end), "ncclGroupEnd"},
             {reinterpret_cast<void**>(&api.all_reduce), "ncclAllReduce"},
             {reinterpret_cast<void**>(&api.broadcast), "ncclBroadcast"}});
    if (library.handle == nullptr) return;
    api.get_version(&version);
    if (version >= kOldest) return;
    library.error = library.path + " is NCCL " + version_text(version) + "; " + kSearch.help;
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

}  // namespace sknet::vendor::nccl
