// Candidates of the ops that move memory more than they calculate, each for activations in float32 and in bfloat16. Activations are rows:
// all channels of a pixel together, padded to 8. Sums have a fixed order.
#pragma once

#include "ops/batch_norm.h"
#include "ops/channel_gather.h"
#include "ops/channel_scale.h"
#include "ops/global_avg_pool.h"
#include "ops/max_pool.h"
#include "ops/pointwise.h"
#include "ops/sk_attention.h"
#include "ops/sk_fuse.h"
#include "ops/sk_select.h"

namespace sknet::cuda {

extern const PointwiseForward relu_forward_plain_fp32, relu_forward_plain_bf16;
extern const PointwiseBackward relu_backward_plain_fp32, relu_backward_plain_bf16;
extern const PointwiseForward sigmoid_forward_plain_fp32, sigmoid_forward_plain_bf16;
extern const PointwiseBackward sigmoid_backward_plain_fp32, sigmoid_backward_plain_bf16;
extern const Add add_plain_fp32, add_plain_bf16;
extern const PointwiseForward copy_plain_fp32, copy_plain_bf16;
extern const ChannelGatherForward channel_gather_forward_plain_fp32, channel_gather_forward_plain_bf16;
extern const ChannelGatherBackward channel_gather_backward_plain_fp32, channel_gather_backward_plain_bf16;
extern const ChannelScaleForward channel_scale_forward_plain_fp32, channel_scale_forward_plain_bf16;
extern const ChannelScaleBackward channel_scale_backward_plain_fp32, channel_scale_backward_plain_bf16;
extern const GlobalAvgPoolForward global_avg_pool_forward_plain_fp32, global_avg_pool_forward_plain_bf16;
extern const GlobalAvgPoolBackward global_avg_pool_backward_plain_fp32, global_avg_pool_backward_plain_bf16;
extern const MaxPoolForward max_pool_forward_plain_fp32, max_pool_forward_plain_bf16;
extern const MaxPoolBackward max_pool_backward_plain_fp32, max_pool_backward_plain_bf16;
extern const BatchNormStatistics batch_norm_statistics_plain_fp32, batch_norm_statistics_plain_bf16;
extern const BatchNormFold batch_norm_fold_channels;
extern const BatchNormApply batch_norm_apply_plain_fp32, batch_norm_apply_plain_bf16;
extern const BatchNormClose batch_norm_close_plain_fp32, batch_norm_close_plain_bf16;
extern const BatchNormGradient batch_norm_gradient_plain_fp32, batch_norm_gradient_plain_bf16;
extern const SkFuseForward sk_fuse_forward_plain_fp32, sk_fuse_forward_plain_bf16;
extern const SkAttentionForward sk_attention_forward_products;
extern const SkAttentionBackward sk_attention_backward_products;
extern const SkSelectForward sk_select_forward_plain_fp32, sk_select_forward_plain_bf16;
extern const SkSelectBackward sk_select_backward_plain_fp32, sk_select_backward_plain_bf16;

}  // namespace sknet::cuda
