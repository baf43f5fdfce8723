// The vendors' libraries that the plugin looks for; it runs without any of them.
#pragma once

#include <string>

#include "core/library.h"
#include "plugin/api.h"

namespace sknet::cuda {

void list_libraries(void (*visit)(void* context, const plugin::LibraryData* library), void* context);

// Why candidates do not use a library; empty where they do. The emulated device is no device to a library, so there only one counts that
// is made for it and named by `variable`, its loader's (test/vendor/fake).
std::string library_refused(const LibraryReport& report, const char* variable);

}  // namespace sknet::cuda
