// conv2d forward on CUDA, candidate "gemm", from the branches of an SK unit.
#include "cuda/gemm_conv2d.h"

namespace sknet::cuda::gemm {

template void forward_selected<Warps<float>>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);
template void forward_selected<Warps<bf16>>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);

}  // namespace sknet::cuda::gemm
