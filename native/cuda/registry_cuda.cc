#include "cuda/registry_cuda.h"

#include "cuda/conv2d_cublas.h"
#include "cuda/conv2d_cudnn.h"
#include "cuda/conv2d_direct.h"
#include "cuda/conv2d_gemm.h"
#include "cuda/conv2d_grouped.h"
#include "cuda/conv2d_stem.h"
#include "cuda/conv2d_warpgroup.h"
#include "cuda/kernels.h"
#include "cuda/loss_images.h"
#include "cuda/sk_split_composed.h"
#include "cuda/sk_split_grouped.h"
#include "cuda/sk_split_octets.h"
#include "cuda/update_flat.h"

namespace sknet::cuda {

namespace {

#define SKNET_TABLE(type, bytes)                                                                                                     \
  {                                                                                                                                  \
      .block = kRows,                                                                                                                \
      .elem_bytes = bytes,                                                                                                           \
      .spare_memory = true,                                                                                                          \
      .conv2d_forward = {&conv2d_forward_grouped_##type, &conv2d_forward_gemm_##type, &conv2d_forward_cublas_##type,                 \
                         &conv2d_forward_direct_##type},                                                                             \
      .conv2d_backward_data = {&conv2d_backward_data_grouped_##type, &conv2d_backward_data_gemm_##type,                              \
                               &conv2d_backward_data_cublas_##type, &conv2d_backward_data_direct_##type},                            \
      .conv2d_backward_weight = {&conv2d_backward_weight_grouped_##type, &conv2d_backward_weight_gemm_##type,                        \
                                 &conv2d_backward_weight_cublas_##type, &conv2d_backward_weight_direct_##type},                      \
      .batch_norm_statistics = {&batch_norm_statistics_plain_##type},                                                                \
      .batch_norm_fold = {&batch_norm_fold_channels},                                                                                \
      .batch_norm_apply = {&batch_norm_apply_plain_##type},                                                                          \
      .batch_norm_close = {&batch_norm_close_plain_##type},                                                                          \
      .batch_norm_gradient = {&batch_norm_gradient_plain_##type},                                                                    \
      .relu_forward = {&relu_forward_plain_##type},                                                                                  \
      .relu_backward = {&relu_backward_plain_##type},                                                                                \
      .sigmoid_forward = {&sigmoid_forward_plain_##type},                                                                            \
      .sigmoid_backward = {&sigmoid_backward_plain_##type},                                                                          \
      .add = {&add_plain_##type},                                                                                                    \
      .copy = {&copy_plain_##type},                                                                                                  \
      .max_pool_forward = {&max_pool_forward_plain_##type},                                                                          \
      .max_pool_backward = {&max_pool_backward_plain_##type},                                                                        \
      .global_avg_pool_forward = {&global_avg_pool_forward_plain_##type},                                                            \
      .global_avg_pool_backward = {&global_avg_pool_backward_plain_##type},                                                          \
      .channel_gather_forward = {&channel_gather_forward_plain_##type},                                                              \
      .channel_gather_backward = {&channel_gather_backward_plain_##type},                                                            \
      .channel_scale_forward = {&channel_scale_forward_plain_##type},                                                                \
      .channel_scale_backward = {&channel_scale_backward_plain_##type},                                                              \
      .softmax_cross_entropy = {&softmax_cross_entropy_images_##type},                                                               \
      .sk_split_forward = {&sk_split_forward_grouped_##type, &sk_split_forward_composed_##type},                                     \
      .sk_split_backward = {&sk_split_backward_fused_##type, &sk_split_backward_grouped_##type, &sk_split_backward_composed_##type}, \
      .sk_fuse_forward = {&sk_fuse_forward_plain_##type},                                                                            \
      .sk_attention_forward = {&sk_attention_forward_products},                                                                      \
      .sk_attention_backward = {&sk_attention_backward_products},                                                                    \
      .sk_select_forward = {&sk_select_forward_plain_##type},                                                                        \
      .sk_select_backward = {&sk_select_backward_plain_##type},                                                                      \
      .sgd = {&sgd_flat},                                                                                                            \
      .ema = {&ema_flat},                                                                                                            \
      .reduce_norm = {&reduce_norm_flat},                                                                                            \
      .trust_ratio = {&trust_ratio_flat},                                                                                            \
  }

// What only bfloat16 has: the stem's and narrow groups' own kernels first, warpgroups before "gemm".
OpTable with_bf16_alone(OpTable table) {
  table.conv2d_forward.insert(table.conv2d_forward.begin() + 1, &conv2d_forward_warpgroup_bf16);
  table.conv2d_backward_data.insert(table.conv2d_backward_data.begin() + 1, &conv2d_backward_data_warpgroup_bf16);
  table.conv2d_backward_weight.insert(table.conv2d_backward_weight.begin() + 1, &conv2d_backward_weight_warpgroup_bf16);
  table.conv2d_forward.insert(table.conv2d_forward.begin(), &conv2d_forward_stem_bf16);
  table.conv2d_backward_weight.insert(table.conv2d_backward_weight.begin(), &conv2d_backward_weight_stem_bf16);
  table.sk_split_forward.insert(table.sk_split_forward.begin(), &sk_split_forward_octets_bf16);
  table.sk_split_backward.insert(table.sk_split_backward.begin(), &sk_split_backward_octets_bf16);
  return table;
}

// cuDNN's plans, before the plain candidate.
OpTable with_cudnn(OpTable table, Precision precision) {
  const auto insert = [](auto& list, const auto& more) { list.insert(list.end() - 1, more.begin(), more.end()); };
  insert(table.conv2d_forward, conv2d_forward_cudnn(precision));
  insert(table.conv2d_backward_data, conv2d_backward_data_cudnn(precision));
  insert(table.conv2d_backward_weight, conv2d_backward_weight_cudnn(precision));
  return table;
}

}  // namespace

const OpTable& cuda_op_table(Precision precision) {
  // Never destroyed: plans may outlive static destruction.
  static const OpTable* const fp32 = new OpTable(with_cudnn(OpTable SKNET_TABLE(fp32, 4), Precision::kFp32));
  static const OpTable* const bf16 = new OpTable(with_cudnn(with_bf16_alone(OpTable SKNET_TABLE(bf16, 2)), Precision::kBf16));
  return precision == Precision::kBf16 ? *bf16 : *fp32;
}

#undef SKNET_TABLE

}  // namespace sknet::cuda
