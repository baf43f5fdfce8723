#include "plan/lower/layers.h"

#include "core/error.h"

namespace sknet::plan {

const LayerLowering& lowering_of(const std::string& op) {
  static const LayerLowering* const table[] = {&conv2d_lowering,         &linear_lowering,  &batch_norm_lowering, &relu_lowering,
                                               &sigmoid_lowering,        &add_lowering,     &max_pool_lowering,   &global_avg_pool_lowering,
                                               &channel_scale_lowering,  &sk_unit_lowering, &concat_lowering,     &channel_slice_lowering,
                                               &channel_shuffle_lowering};
  for (const LayerLowering* entry : table) {
    if (op == entry->op) return *entry;
  }
  throw Error("ERR_SKNET_MODEL", "unknown op '" + op + "'").with_got(op);
}

}  // namespace sknet::plan
