// conv2d on CUDA, candidate "gemm", forward and gradient of the input: dense convolutions and linear layers as matrix products.
#include "cuda/conv2d_gemm.h"
#include "cuda/gemm_conv2d.h"

namespace sknet::cuda {

extern template void gemm::forward_selected<Warps<float>>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);
extern template void gemm::forward_selected<Warps<bf16>>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);

namespace {

const char* refuse_forward(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.fusion.x_rows && p.fusion.x_norm) return "the network's input is not read through a norm";
  if (p.fusion.statistics && p.fusion.y_norm) return "leaves statistics or applies a norm, not both";
  return gemm::selection_refused(p, kMaxBranches);
}

const char* refuse_backward_data(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.stride > kMostPhases) return "stride above 4";
  if (p.fusion.x_rows) return "the network's input needs no gradient";
  return nullptr;
}

}  // namespace

const Conv2dForward conv2d_forward_gemm_fp32 = gemm::make_forward<Warps<float>>("gemm", refuse_forward);
const Conv2dForward conv2d_forward_gemm_bf16 = gemm::make_forward<Warps<bf16>>("gemm", refuse_forward);
const Conv2dBackwardData conv2d_backward_data_gemm_fp32 = gemm::make_backward_data<Warps<float>>("gemm", refuse_backward_data);
const Conv2dBackwardData conv2d_backward_data_gemm_bf16 = gemm::make_backward_data<Warps<bf16>>("gemm", refuse_backward_data);

}  // namespace sknet::cuda
