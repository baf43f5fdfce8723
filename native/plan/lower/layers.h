// The table of layers: how each kind is lowered. One file here a kind.
#pragma once

#include <string>

#include "plan/lowering.h"

namespace sknet::plan {

struct LayerLowering {
  const char* op;
  void (*forward)(Lowering&, int layer);
  void (*backward)(Lowering&, int layer);
};

extern const LayerLowering conv2d_lowering, linear_lowering, batch_norm_lowering, relu_lowering, sigmoid_lowering, add_lowering,
    max_pool_lowering, global_avg_pool_lowering, channel_scale_lowering, sk_unit_lowering;

// Throws Error ERR_SKNET_MODEL for an op that is not in the table.
const LayerLowering& lowering_of(const std::string& op);

// ---- parts that several layers are made of

void copy(Lowering& low, Ref from, Ref to, int64_t size);
// Loss, its gradient where the plan trains, and the hits; totals stand at the end of the results.
void loss(Lowering& low);

Conv2dProblem conv2d_problem(const Shape& x, const Shape& y, int kernel, int stride, int padding, int dilation, int groups);
void conv2d_forward(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref x, Ref weight, Ref bias, Ref y);
void conv2d_backward_data(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref dy, Ref weight, Lowering::Target dx);
void conv2d_backward_weight(Lowering& low, const std::string& layer, const Conv2dProblem& p, Ref x, Ref dy, Ref dweight, Ref dbias);

// What one batch_norm keeps for its backward.
struct BatchNormSaved {
  Ref mean, invstd;
};
// `name` owns the tensors <name>.weight and so on. y = relu?(bn(x) + residual?).
BatchNormSaved batch_norm_forward(Lowering& low, const std::string& name, const BatchNormProblem& p, Ref x, Ref residual, Ref y);
void batch_norm_backward(Lowering& low, const std::string& name, const BatchNormProblem& p, const BatchNormSaved& saved, Ref x, Ref y,
                         Ref dy, Ref dx, Lowering::Target dresidual);

}  // namespace sknet::plan
