// What host code of this room includes: the CUDA runtime, or under g++ the part of it that is used here, on the CPU, with the same names
// and rules (emulated/runtime_api.h).
#pragma once

#ifdef SKNET_CUDA_EMULATED
#include "cuda/simt/emulated/runtime_api.h"
#else
#include <cuda_runtime.h>
#endif
