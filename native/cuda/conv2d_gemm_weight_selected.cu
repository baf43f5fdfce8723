// conv2d's gradient of the weights on CUDA, candidate "gemm", from the branches of an SK unit.
#include "cuda/gemm_conv2d_weight.h"

namespace sknet::cuda::gemm {

template void sum_selected<Warps<float>>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);
template void sum_selected<Warps<bf16>>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);

}  // namespace sknet::cuda::gemm
