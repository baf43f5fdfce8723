// Candidates of sk_split in bfloat16 for two branches of 3 x 3, stride 1 or 2, in groups of up to 32 channels (octet_tile.h).
#pragma once

#include "ops/sk_split.h"

namespace sknet::cuda {

extern const SkSplitForward sk_split_forward_octets_bf16;
extern const SkSplitBackward sk_split_backward_octets_bf16;

}  // namespace sknet::cuda
