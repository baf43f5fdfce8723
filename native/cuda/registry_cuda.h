// THE table of CUDA: op -> candidates, fast first, plain last.
#pragma once

#include "ops/registry.h"

namespace sknet::cuda {

const OpTable& cuda_op_table(Precision precision);

}  // namespace sknet::cuda
