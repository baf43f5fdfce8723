// The candidates that native/cpu offers, once a set of kernels: an instruction set and what activations are stored as. Defined in <op>.cc,
// listed in order in registry_cpu.cc.
#pragma once

#include "ops/registry.h"

// Kernels on activations: once an instruction set for float32 and once for bfloat16.
#define SKNET_DECLARE_KERNELS(set)                                                                                             \
  namespace sknet::cpu::set {                                                                                                  \
  extern const Conv2dForward conv2d_forward_planes, conv2d_forward_gemm, conv2d_forward_direct;                                \
  extern const Conv2dBackwardData conv2d_backward_data_planes, conv2d_backward_data_gemm, conv2d_backward_data_direct;         \
  extern const Conv2dBackwardWeight conv2d_backward_weight_planes, conv2d_backward_weight_gemm, conv2d_backward_weight_direct; \
  extern const BatchNormStatistics batch_norm_statistics_plain;                                                                \
  extern const BatchNormFold batch_norm_fold_plain;                                                                            \
  extern const BatchNormApply batch_norm_apply_plain;                                                                          \
  extern const BatchNormClose batch_norm_close_plain;                                                                          \
  extern const BatchNormGradient batch_norm_gradient_plain;                                                                    \
  extern const PointwiseForward relu_forward_plain, sigmoid_forward_plain, copy_plain;                                         \
  extern const PointwiseBackward relu_backward_plain, sigmoid_backward_plain;                                                  \
  extern const Add add_plain;                                                                                                  \
  extern const MaxPoolForward max_pool_forward_plain;                                                                          \
  extern const MaxPoolBackward max_pool_backward_plain;                                                                        \
  extern const GlobalAvgPoolForward global_avg_pool_forward_plain;                                                             \
  extern const GlobalAvgPoolBackward global_avg_pool_backward_plain;                                                           \
  extern const ChannelGatherForward channel_gather_forward_plain;                                                              \
  extern const ChannelGatherBackward channel_gather_backward_plain;                                                            \
  extern const ChannelScaleForward channel_scale_forward_plain;                                                                \
  extern const ChannelScaleBackward channel_scale_backward_plain;                                                              \
  extern const SoftmaxCrossEntropy softmax_cross_entropy_plain;                                                                \
  extern const SkSplitForward sk_split_forward_planes, sk_split_forward_composed;                                              \
  extern const SkSplitBackward sk_split_backward_planes, sk_split_backward_composed;                                           \
  extern const SkFuseForward sk_fuse_forward_plain;                                                                            \
  extern const SkSelectForward sk_select_forward_plain;                                                                        \
  extern const SkSelectBackward sk_select_backward_plain;                                                                      \
  }

// Kernels on float32 and float64 only.
#define SKNET_DECLARE_FLAT_KERNELS(isa)                         \
  namespace sknet::cpu::isa {                                   \
  extern const SkAttentionForward sk_attention_forward_plain;   \
  extern const SkAttentionBackward sk_attention_backward_plain; \
  extern const Sgd sgd_plain;                                   \
  extern const Ema ema_plain;                                   \
  extern const ReduceNorm reduce_norm_plain;                    \
  extern const TrustRatio trust_ratio_plain;                    \
  }

SKNET_DECLARE_KERNELS(portable)
SKNET_DECLARE_KERNELS(avx2)
SKNET_DECLARE_KERNELS(avx512)
SKNET_DECLARE_KERNELS(bf16_portable)
SKNET_DECLARE_KERNELS(bf16_avx2)
SKNET_DECLARE_KERNELS(bf16_avx512)
SKNET_DECLARE_KERNELS(bf16_avx512_bf16)
SKNET_DECLARE_KERNELS(bf16_amx_bf16)  // those of SKNET_AMX_KERNELS in CMakeLists.txt
SKNET_DECLARE_FLAT_KERNELS(portable)
SKNET_DECLARE_FLAT_KERNELS(avx2)
SKNET_DECLARE_FLAT_KERNELS(avx512)

#undef SKNET_DECLARE_KERNELS
#undef SKNET_DECLARE_FLAT_KERNELS
