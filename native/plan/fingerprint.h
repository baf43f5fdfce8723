// One number for all of a spec that plans which train together must have in common.
#pragma once

#include <cstdint>

#include "plan/spec.h"

namespace sknet::plan {

// Of the network, its input, batch, precision and optimizer; not of what a rank may do in its own way: device, threads, candidates, how
// batches come.
uint64_t fingerprint(const PlanSpec& spec);

}  // namespace sknet::plan
