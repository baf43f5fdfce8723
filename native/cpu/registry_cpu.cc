// THE table of the CPU: op -> candidates, fast first, plain last, the same in every set of kernels. The only file that names them.
#include "cpu/kernels.h"

namespace sknet {

namespace {

// products: the set that the kernels come from in which nearly all multiplications are.
#define SKNET_TABLE(set, products, isa, lanes, bytes)                                                                                      \
  OpTable {                                                                                                                                \
    .block = lanes, .elem_bytes = bytes, .spare_memory = false,                                                                            \
    .conv2d_forward = {&cpu::products::conv2d_forward_planes, &cpu::products::conv2d_forward_gemm, &cpu::products::conv2d_forward_direct}, \
    .conv2d_backward_data = {&cpu::products::conv2d_backward_data_planes, &cpu::products::conv2d_backward_data_gemm,                       \
                             &cpu::products::conv2d_backward_data_direct},                                                                 \
    .conv2d_backward_weight = {&cpu::products::conv2d_backward_weight_planes, &cpu::products::conv2d_backward_weight_gemm,                 \
                               &cpu::products::conv2d_backward_weight_direct},                                                             \
    .batch_norm_statistics = {&cpu::set::batch_norm_statistics_plain}, .batch_norm_fold = {&cpu::set::batch_norm_fold_plain},              \
    .batch_norm_apply = {&cpu::set::batch_norm_apply_plain}, .batch_norm_close = {&cpu::set::batch_norm_close_plain},                      \
    .batch_norm_gradient = {&cpu::set::batch_norm_gradient_plain}, .relu_forward = {&cpu::set::relu_forward_plain},                        \
    .relu_backward = {&cpu::set::relu_backward_plain}, .sigmoid_forward = {&cpu::set::sigmoid_forward_plain},                              \
    .sigmoid_backward = {&cpu::set::sigmoid_backward_plain}, .add = {&cpu::set::add_plain}, .copy = {&cpu::set::copy_plain},               \
    .max_pool_forward = {&cpu::set::max_pool_forward_plain}, .max_pool_backward = {&cpu::set::max_pool_backward_plain},                    \
    .global_avg_pool_forward = {&cpu::set::global_avg_pool_forward_plain},                                                                 \
    .global_avg_pool_backward = {&cpu::set::global_avg_pool_backward_plain},                                                               \
    .channel_gather_forward = {&cpu::set::channel_gather_forward_plain},                                                                   \
    .channel_gather_backward = {&cpu::set::channel_gather_backward_plain},                                                                 \
    .channel_scale_forward = {&cpu::set::channel_scale_forward_plain},                                                                     \
    .channel_scale_backward = {&cpu::set::channel_scale_backward_plain},                                                                   \
    .softmax_cross_entropy = {&cpu::set::softmax_cross_entropy_plain},                                                                     \
    .sk_split_forward = {&cpu::products::sk_split_forward_planes, &cpu::products::sk_split_forward_composed},                              \
    .sk_split_backward = {&cpu::products::sk_split_backward_planes, &cpu::products::sk_split_backward_composed},                           \
    .sk_fuse_forward = {&cpu::set::sk_fuse_forward_plain}, .sk_attention_forward = {&cpu::isa::sk_attention_forward_plain},                \
    .sk_attention_backward = {&cpu::isa::sk_attention_backward_plain}, .sk_select_forward = {&cpu::set::sk_select_forward_plain},          \
    .sk_select_backward = {&cpu::set::sk_select_backward_plain}, .sgd = {&cpu::isa::sgd_plain}, .ema = {&cpu::isa::ema_plain},             \
    .reduce_norm = {&cpu::isa::reduce_norm_plain}, .trust_ratio = {&cpu::isa::trust_ratio_plain},                                          \
  }

}  // namespace

// Never destroyed: plans may outlive static destruction.
#if defined(SKNET_ONLY)
// A build of one instruction set (SKNET_KERNELS in CMakeLists.txt), which stands for all.
const OpTable& cpu_op_table(Isa, Precision precision) {
  static const OpTable* const fp32 = new OpTable(SKNET_TABLE(SKNET_ONLY, SKNET_ONLY, SKNET_ONLY, SKNET_ONLY_LANES, 4));
  static const OpTable* const bf16 = new OpTable(SKNET_TABLE(SKNET_ONLY_BF16, SKNET_ONLY_BF16, SKNET_ONLY, SKNET_ONLY_LANES, 2));
  return *(precision == Precision::kBf16 ? bf16 : fp32);
}
#else
const OpTable& cpu_op_table(Isa isa, Precision precision) {
  // In fp32 the dot products of AVX512_BF16 and AMX have no use.
  static const OpTable* const fp32 = new OpTable[kIsaCount]{
      SKNET_TABLE(portable, portable, portable, 4, 4), SKNET_TABLE(avx2, avx2, avx2, 8, 4), SKNET_TABLE(avx512, avx512, avx512, 16, 4),
      SKNET_TABLE(avx512, avx512, avx512, 16, 4), SKNET_TABLE(avx512, avx512, avx512, 16, 4)};
  static const OpTable* const bf16 = new OpTable[kIsaCount]{
      SKNET_TABLE(bf16_portable, bf16_portable, portable, 4, 2), SKNET_TABLE(bf16_avx2, bf16_avx2, avx2, 8, 2),
      SKNET_TABLE(bf16_avx512, bf16_avx512, avx512, 16, 2), SKNET_TABLE(bf16_avx512_bf16, bf16_avx512_bf16, avx512, 16, 2),
      SKNET_TABLE(bf16_avx512_bf16, bf16_amx_bf16, avx512, 16, 2)};
  return (precision == Precision::kBf16 ? bf16 : fp32)[static_cast<int>(isa)];
}
#endif

#undef SKNET_TABLE

}  // namespace sknet
