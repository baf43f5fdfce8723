// conv2d on CUDA, candidate "gemm", gradient of the weights.
#include "cuda/conv2d_gemm.h"
#include "cuda/gemm_conv2d_weight.h"

namespace sknet::cuda {

extern template void gemm::sum_selected<Warps<float>>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);
extern template void gemm::sum_selected<Warps<bf16>>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);

namespace {

const char* refuse(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.fusion.x_rows && p.fusion.x_norm) return "the network's input is not read through a norm";
  return gemm::selection_refused(p, kMaxBranches);
}

}  // namespace

const Conv2dBackwardWeight conv2d_backward_weight_gemm_fp32 = gemm::make_backward_weight<Warps<float>>("gemm", refuse);
const Conv2dBackwardWeight conv2d_backward_weight_gemm_bf16 = gemm::make_backward_weight<Warps<bf16>>("gemm", refuse);

}  // namespace sknet::cuda
