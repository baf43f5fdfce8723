// The registry's shape: one table a device, op -> candidates in order, fast first, plain last.
#pragma once

#include <vector>

#include "core/cpu_features.h"
#include "ops/batch_norm.h"
#include "ops/channel_gather.h"
#include "ops/channel_scale.h"
#include "ops/conv2d.h"
#include "ops/ema.h"
#include "ops/global_avg_pool.h"
#include "ops/layout.h"
#include "ops/max_pool.h"
#include "ops/pointwise.h"
#include "ops/reduce_norm.h"
#include "ops/sgd.h"
#include "ops/sk_attention.h"
#include "ops/sk_fuse.h"
#include "ops/sk_select.h"
#include "ops/sk_split.h"
#include "ops/softmax_cross_entropy.h"
#include "ops/trust_ratio.h"

namespace sknet {

struct OpTable {
  template <class T>
  using List = std::vector<const T*>;

  int block;       // channels that lie together in memory, or kRows (layout.h)
  int elem_bytes;  // of an activation: 4 float32, 2 bfloat16
  // Memory is a device's own and runs out before time does: workspaces lie among the activations, outputs that cost little are made again.
  bool spare_memory;
  List<Conv2dForward> conv2d_forward;
  List<Conv2dBackwardData> conv2d_backward_data;
  List<Conv2dBackwardWeight> conv2d_backward_weight;
  List<BatchNormStatistics> batch_norm_statistics;
  List<BatchNormFold> batch_norm_fold;
  List<BatchNormApply> batch_norm_apply;
  List<BatchNormClose> batch_norm_close;
  List<BatchNormGradient> batch_norm_gradient;
  List<PointwiseForward> relu_forward;
  List<PointwiseBackward> relu_backward;
  List<PointwiseForward> sigmoid_forward;
  List<PointwiseBackward> sigmoid_backward;
  List<Add> add;
  List<PointwiseForward> copy;
  List<MaxPoolForward> max_pool_forward;
  List<MaxPoolBackward> max_pool_backward;
  List<GlobalAvgPoolForward> global_avg_pool_forward;
  List<GlobalAvgPoolBackward> global_avg_pool_backward;
  List<ChannelGatherForward> channel_gather_forward;
  List<ChannelGatherBackward> channel_gather_backward;
  List<ChannelScaleForward> channel_scale_forward;
  List<ChannelScaleBackward> channel_scale_backward;
  List<SoftmaxCrossEntropy> softmax_cross_entropy;
  List<SkSplitForward> sk_split_forward;
  List<SkSplitBackward> sk_split_backward;
  List<SkFuseForward> sk_fuse_forward;
  List<SkAttentionForward> sk_attention_forward;
  List<SkAttentionBackward> sk_attention_backward;
  List<SkSelectForward> sk_select_forward;
  List<SkSelectBackward> sk_select_backward;
  List<Sgd> sgd;
  List<Ema> ema;
  List<ReduceNorm> reduce_norm;
  List<TrustRatio> trust_ratio;
};

// Defined in native/cpu/registry_cpu.cc.
const OpTable& cpu_op_table(Isa isa, Precision precision);

}  // namespace sknet
