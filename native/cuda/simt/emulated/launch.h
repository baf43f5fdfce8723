// Kernel launches: arguments are bound at the call, as on a device, and the grid runs when its stream gets there.
#pragma once

#include <functional>
#include <tuple>
#include <utility>

#include "cuda/simt/emulated/block.h"
#include "cuda/simt/emulated/runtime_api.h"

#define SIMT_LAUNCH(kernel, grid, block, dynamic_bytes, stream, ...) \
  ::simt::launch(#kernel, kernel, grid, block, dynamic_bytes, static_cast<cudaStream_t>(stream) __VA_OPT__(, ) __VA_ARGS__)

namespace simt {

// Runs all blocks now; false when one died.
bool run_grid(const Launch& launch);

// Checks the launch as a driver does and hands it to the stream; failures are left for cudaGetLastError.
void submit_launch(const void* kernel, Launch launch, cudaStream_t stream);

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  std::tuple<Parameters...> bound(static_cast<Parameters>(std::forward<Arguments>(arguments))...);
  submit_launch(reinterpret_cast<const void*>(kernel),
                {name, grid, block, dynamic_bytes, [kernel, bound = std::move(bound)] { std::apply(kernel, bound); }}, stream);
}

}  // namespace simt
