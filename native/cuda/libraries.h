// The vendors' libraries that the plugin looks for; it runs without any of them.
#pragma once

#include "plugin/api.h"

namespace sknet::cuda {

void list_libraries(void (*visit)(void* context, const plugin::LibraryData* library), void* context);

}  // namespace sknet::cuda
