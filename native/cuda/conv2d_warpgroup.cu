#include "cuda/conv2d_warpgroup.h"
#include "cuda/gemm_conv2d.h"
#include "cuda/gemm_conv2d_weight.h"
#include "cuda/machine_warpgroup.h"
#include "cuda/warpgroups.h"

namespace sknet::cuda {

extern template void gemm::forward_selected<Warpgroups>(const Conv2dProblem&, const Conv2dForwardArgs&, const Exec&);
extern template void gemm::sum_selected<Warpgroups>(const Conv2dProblem&, const Conv2dBackwardWeightArgs&, const Exec&);

namespace {

constexpr int kFewest = 33;  // summed channels: a step takes 64

const char* refuse(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (const char* reason = warpgroups_refused()) return reason;
  if (p.fusion.x_rows) return "the network's input is read number by number";
  if (p.fusion.dy_norm) return "reads its gradient as it is";
  return gemm::selection_refused(p, Warpgroups::kMostBranches);
}

const char* refuse_forward(const Conv2dProblem& p) {
  if (const char* reason = refuse(p)) return reason;
  if (p.c < kFewest) return "32 input channels or fewer";
  if (p.fusion.statistics && p.fusion.y_norm) return "leaves statistics or applies a norm, not both";
  return nullptr;
}

const char* refuse_backward_data(const Conv2dProblem& p) {
  if (const char* reason = refuse(p)) return reason;
  if (p.out < kFewest) return "32 output channels or fewer";
  if (p.stride > kMostPhases) return "stride above 4";
  return nullptr;
}

}  // namespace

const Conv2dForward conv2d_forward_warpgroup_bf16 = gemm::make_forward<Warpgroups>("warpgroup", refuse_forward);
const Conv2dBackwardData conv2d_backward_data_warpgroup_bf16 = gemm::make_backward_data<Warpgroups>("warpgroup", refuse_backward_data);
const Conv2dBackwardWeight conv2d_backward_weight_warpgroup_bf16 = gemm::make_backward_weight<Warpgroups>("warpgroup", refuse);

}  // namespace sknet::cuda
