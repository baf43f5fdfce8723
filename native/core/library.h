// Opening a vendor's library that may or may not be installed: where it is looked for, what version was found, or why none is used.
// Nothing here is needed to run; everything works without any of these libraries (DESIGN 2).
#pragma once

#include <string>
#include <vector>

namespace sknet {

struct LibrarySearch {
  const char* name;      // for people: "cuDNN"
  const char* variable;  // environment variable with a file or folder, which alone counts where it is set
  const char* soname;    // "libcudnn.so.9"
  const char* folder;    // below site-packages/nvidia of Python's packages: "cudnn/lib"
  const char* help;      // what to do where it is missing
};

struct Library {
  void* handle = nullptr;  // null: not found, or refused. Never closed: libraries like these do not survive it.
  std::string path;        // the file that was opened
  std::string error;       // why there is no handle
};

// In this order: the variable; what the process has loaded already; the loader's own path; Python's packages of the active environment and
// of the system; /usr/local/cuda/lib64.
Library open_library(const LibrarySearch& search);

// One function a table entry: where to store its address, what it is called.
struct Symbol {
  void** at;
  const char* name;
  bool required = true;
};

// Fills the table; the first required function that is missing makes the library useless, and library.error says which.
void resolve(Library& library, const LibrarySearch& search, const std::vector<Symbol>& symbols);

// What `sknet doctor` prints of one library.
struct LibraryReport {
  std::string name, path, version, reason;  // `reason` is empty where the library can be used
};

}  // namespace sknet
