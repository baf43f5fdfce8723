// Candidates of the update's ops, which work on flat float32 memory.
#pragma once

#include "ops/ema.h"
#include "ops/reduce_norm.h"
#include "ops/sgd.h"
#include "ops/trust_ratio.h"

namespace sknet::cuda {

extern const Sgd sgd_flat;
extern const Ema ema_flat;
extern const ReduceNorm reduce_norm_flat;
extern const TrustRatio trust_ratio_flat;

}  // namespace sknet::cuda
