#include "cuda/registry_cuda.h"

#include "cuda/conv2d_direct.h"
#include "cuda/loss_images.h"
#include "cuda/sk_split_composed.h"
#include "cuda/update_flat.h"

namespace sknet::cuda {

namespace {

#define SKNET_TABLE(type, bytes)                                         \
  {                                                                      \
      .block = kRows,                                                    \
      .elem_bytes = bytes,                                               \
      .conv2d_forward = {&conv2d_forward_direct_##type},                 \
      .conv2d_backward_data = {&conv2d_backward_data_direct_##type},     \
      .conv2d_backward_weight = {&conv2d_backward_weight_direct_##type}, \
      .softmax_cross_entropy = {&softmax_cross_entropy_images_##type},   \
      .sk_split_forward = {&sk_split_forward_composed_##type},           \
      .sk_split_backward = {&sk_split_backward_composed_##type},         \
      .sgd = {&sgd_flat},                                                \
      .ema = {&ema_flat},                                                \
      .reduce_norm = {&reduce_norm_flat},                                \
      .trust_ratio = {&trust_ratio_flat},                                \
  }

}  // namespace

const OpTable& cuda_op_table(Precision precision) {
  // Never destroyed: plans may outlive static destruction.
  static const OpTable* const fp32 = new OpTable SKNET_TABLE(fp32, 4);
  static const OpTable* const bf16 = new OpTable SKNET_TABLE(bf16, 2);
  return precision == Precision::kBf16 ? *bf16 : *fp32;
}

#undef SKNET_TABLE

}  // namespace sknet::cuda
