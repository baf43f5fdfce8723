// Whether the tensor cores of simt/warpgroup.h can be used on the calling thread's device.
#pragma once

namespace sknet::cuda {

// Why not; null where they can. A device is tried once, by products whose every number is known: the layout of operands in shared memory is
// the one thing about them that no other kernel would notice. SKNET_CUDA_WARPGROUPS=0: not used.
const char* warpgroups_refused();

}  // namespace sknet::cuda
