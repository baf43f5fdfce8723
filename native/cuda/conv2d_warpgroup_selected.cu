// conv2d on CUDA, candidate "warpgroup", from the branches of an SK unit.
#include "cuda/gemm_conv2d.h"
#include "cuda/gemm_conv2d_weight.h"
#include "cuda/machine_warpgroup.h"

namespace sknet::cuda::gemm {

template void forward_selected<Warpgroups>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);
template void sum_selected<Warpgroups>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);

}  // namespace sknet::cuda::gemm
