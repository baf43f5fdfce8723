// THE table of the CPU: op -> candidates, fast first, plain last, the same in every instruction set. The only file that names them.
#include "cpu/kernels.h"

namespace sknet {

namespace {

#define SKNET_TABLE(isa, lanes)                                                                                                        \
  OpTable {                                                                                                                            \
  .block = lanes,                                                                                                                      \
  .conv2d_forward = {&cpu::isa::conv2d_forward_planes, &cpu::isa::conv2d_forward_gemm, &cpu::isa::conv2d_forward_direct},              \
  .conv2d_backward_data = {&cpu::isa::conv2d_backward_data_planes, &cpu::isa::conv2d_backward_data_gemm, &cpu::isa::conv2d_backward_data_direct},\
  .conv2d_backward_weight = {&cpu::isa::conv2d_backward_weight_planes, &cpu::isa::conv2d_backward_weight_gemm, &cpu::isa::conv2d_backward_weight_direct},\
  .batch_norm_statistics = {&cpu::isa::batch_norm_statistics_plain},                                                                   \
  .batch_norm_fold = {&cpu::isa::batch_norm_fold_plain},                                                                               \
  .batch_norm_apply = {&cpu::isa::batch_norm_apply_plain},                                                                             \
  .batch_norm_close = {&cpu::isa::batch_norm_close_plain},                                                                             \
  .batch_norm_gradient = {&cpu::isa::batch_norm_gradient_plain},                                                                       \
  .relu_forward = {&cpu::isa::relu_forward_plain},                                                                                     \
  .relu_backward = {&cpu::isa::relu_backward_plain},                                                                                   \
  .sigmoid_forward = {&cpu::isa::sigmoid_forward_plain},                                                                               \
  .sigmoid_backward = {&cpu::isa::sigmoid_backward_plain},                                                                             \
  .add = {&cpu::isa::add_plain},                                                                                                       \
  .copy = {&cpu::isa::copy_plain},                                                                                                     \
  .max_pool_forward = {&cpu::isa::max_pool_forward_plain},                                                                             \
  .max_pool_backward = {&cpu::isa::max_pool_backward_plain},                                                                           \
  .global_avg_pool_forward = {&cpu::isa::global_avg_pool_forward_plain},                                                               \
  .global_avg_pool_backward = {&cpu::isa::global_avg_pool_backward_plain},                                                             \
  .channel_scale_forward = {&cpu::isa::channel_scale_forward_plain},                                                                   \
  .channel_scale_backward = {&cpu::isa::channel_scale_backward_plain},                                                                 \
  .softmax_cross_entropy = {&cpu::isa::softmax_cross_entropy_plain},                                                                   \
  .sk_split_forward = {&cpu::isa::sk_split_forward_planes, &cpu::isa::sk_split_forward_composed},                                      \
  .sk_split_backward = {&cpu::isa::sk_split_backward_planes, &cpu::isa::sk_split_backward_composed},                                   \
  .sk_fuse_forward = {&cpu::isa::sk_fuse_forward_plain},                                                                               \
  .sk_attention_forward = {&cpu::isa::sk_attention_forward_plain},                                                                     \
  .sk_attention_backward = {&cpu::isa::sk_attention_backward_plain},                                                                   \
  .sk_select_forward = {&cpu::isa::sk_select_forward_plain},                                                                           \
  .sk_select_backward = {&cpu::isa::sk_select_backward_plain},                                                                         \
  .sgd = {&cpu::isa::sgd_plain},                                                                                                       \
  .ema = {&cpu::isa::ema_plain},                                                                                                       \
  .reduce_norm = {&cpu::isa::reduce_norm_plain},                                                                                       \
  }

}  // namespace

const OpTable& cpu_op_table(Isa isa) {
  // Never destroyed: plans may outlive static destruction.
  static const OpTable* const tables = new OpTable[kIsaCount]{SKNET_TABLE(portable, 4), SKNET_TABLE(avx2, 8), SKNET_TABLE(avx512, 16)};
  return tables[static_cast<int>(isa)];
}

#undef SKNET_TABLE

}  // namespace sknet
