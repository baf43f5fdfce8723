// conv2d on CUDA, candidate "grouped", gradient of the weights.
#include "cuda/column_sums.h"
#include "cuda/conv2d_grouped.h"
#include "cuda/grouped_reduce.h"

namespace sknet::cuda {
namespace {

template <class Elem>
const char* refuse(const Conv2dProblem& p) {
  if (p.fusion.x_branches > 0) return "makes no SK unit's output";
  if (p.fusion.x_rows) return "reads no rows of the network's input";
  if (const char* reason = grouped_refuse(p)) return reason;
  return grouped_reduce_plan<Elem>(grouped_plan(&p, 1, false)).slabs == 0 ? "a tile does not fit shared memory" : nullptr;
}

// The bias's sums reuse the memory.
template <class Elem>
size_t workspace(const Conv2dProblem& p) {
  const GroupedPlan g = grouped_plan(&p, 1, false);
  const size_t partial = grouped_reduce_bytes<Elem>(g, grouped_reduce_plan<Elem>(g));
  const size_t bias = column_sums_workspace(static_cast<int64_t>(p.n) * p.oh * p.ow, p.out);
  return partial > bias ? partial : bias;
}

template <class Elem>
void run(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const GroupedPlan g = grouped_plan(&p, 1, false);
  const auto launch = [&](const auto& x, const auto& gradient) {
    launch_grouped_reduce<Elem>(g, p.out, x, gradient, &a.dweight, reinterpret_cast<float*>(exec.workspace), exec);
  };
  const auto with_gradient = [&](const auto& x) {
    const Elem* dy = static_cast<const Elem*>(a.dy);
    if (a.dy_norm.u != nullptr) {
      launch(x, GradientFill<Elem>{dy, a.dy_norm});
    } else {
      launch(x, PlainFill<Elem>{{dy}});
    }
  };
  const Elem* x = static_cast<const Elem*>(a.x);
  if (a.x_norm.scale != nullptr) {
    with_gradient(NormFill<Elem>{x, a.x_norm});
  } else {
    with_gradient(PlainFill<Elem>{{x}});
  }
  if (a.dbias != nullptr) bias_gradient<Elem>(a.dy, a.dy_norm, static_cast<int64_t>(p.n) * p.oh * p.ow, p.out, a.dbias, exec);
}

}  // namespace

const Conv2dBackwardWeight conv2d_backward_weight_grouped_fp32{"grouped", refuse<float>, workspace<float>, nullptr, run<float>};
const Conv2dBackwardWeight conv2d_backward_weight_grouped_bf16{"grouped", refuse<bf16>, workspace<bf16>, nullptr, run<bf16>};

}  // namespace sknet::cuda
