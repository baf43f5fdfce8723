#include "core/library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <filesystem>

namespace sknet {

namespace {

namespace fs = std::filesystem;

std::string path_of(void* handle, const std::string& asked) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr && map->l_name[0] != '\0') return map->l_name;
  return asked;
}

Library try_open(const std::string& file, int flags) {
  Library library;
  library.handle = dlopen(file.c_str(), flags);
  if (library.handle == nullptr) {
    const char* reason = dlerror();
    library.error = reason == nullptr ? file : reason;
  } else {
    library.path = path_of(library.handle, file);
  }
  return library;
}

// Python environments that may carry NVIDIA's packages: the active one, then the system's.
std::vector<fs::path> python_roots() {
  std::vector<fs::path> roots;
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') roots.emplace_back(fs::path(value) / "lib");
  }
  roots.emplace_back("/usr/local/lib");
  roots.emplace_back("/usr/lib");
  return roots;
}

std::vector<std::string> candidates(const LibrarySearch& search) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const fs::path& root : python_roots()) {
    for (const fs::directory_entry& entry : fs::directory_iterator(root, ignored)) {
      if (!entry.path().filename().string().starts_with("python3")) continue;
      for (const char* packages : {"site-packages", "dist-packages"}) {
        const fs::path file = entry.path() / packages / "nvidia" / search.folder / search.soname;
        if (fs::exists(file, ignored)) files.push_back(file);
      }
    }
  }
  const fs::path toolkit = fs::path("/usr/local/cuda/lib64") / search.soname;
  if (fs::exists(toolkit, ignored)) files.push_back(toolkit);
  return files;
}

Library missing(const LibrarySearch& search, const std::string& reason) {
  Library library;
  library.error = reason + ". " + search.help + ", or set " + search.variable + " to its file or folder";
  return library;
}

}  // namespace

Library open_library(const LibrarySearch& search) {
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;
  if (const char* value = std::getenv(search.variable); value != nullptr && *value != '\0') {
    std::error_code ignored;
    const fs::path file = fs::is_directory(value, ignored) ? fs::path(value) / search.soname : fs::path(value);
    Library library = try_open(file, kFlags);
    if (library.handle == nullptr) library.error = std::string(search.variable) + ": " + library.error;
    return library;
  }
  if (Library loaded = try_open(search.soname, kFlags | RTLD_NOLOAD); loaded.handle != nullptr) return loaded;
  Library found = try_open(search.soname, kFlags);
  if (found.handle != nullptr) return found;
  // What is there and does not load says more than what is not there.
  std::string reason = std::string(search.soname) + " was not found";
  for (const std::string& file : candidates(search)) {
    Library library = try_open(file, kFlags);
    if (library.handle != nullptr) return library;
    reason = library.error;
  }
  return missing(search, reason);
}

void resolve(Library& library, const LibrarySearch& search, const std::vector<Symbol>& symbols) {
  if (library.handle == nullptr) return;
  for (const Symbol& symbol : symbols) {
    *symbol.at = dlsym(library.handle, symbol.name);
    if (*symbol.at != nullptr || !symbol.required) continue;
    library.error = library.path + " has no " + symbol.name + ": too old, or not " + search.name + ". " + search.help;
    library.handle = nullptr;
    return;
  }
}

}  // namespace sknet
