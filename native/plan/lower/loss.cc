// softmax_cross_entropy behind the last layer.
#include "plan/lower/layers.h"

namespace sknet::plan {

void loss(Lowering& low) {
  const Shape& y = low.graph.shape_of(low.graph.output());
  const bool train = low.spec.mode == Mode::kTrain;
  const SoftmaxCrossEntropyProblem p{y.n, static_cast<int>(y.size() / y.n), train ? low.spec.label_smoothing : 0};
  const Ref logits = low.reading_of(low.graph.output()).ref, labels{Region::kLabels, 0}, labels2{Region::kLabels, low.spec.shard_size},
            mix{Region::kLabels, 2 * int64_t{low.spec.shard_size}}, totals{Region::kResults, totals_offset(low.spec, low.graph)};
  const Ref dlogits = train ? low.output_gradient : Ref{};
  const float scale = 1.0f / static_cast<float>(int64_t{1} * low.spec.shard_size * low.spec.shards * low.spec.ranks.count);
  low.step("softmax_cross_entropy", "loss", low.table.softmax_cross_entropy, p, 4 * y.size(), [=](const Memory& at) {
    const auto integers = [&](const Ref& ref) { return reinterpret_cast<const int32_t*>(at(ref)); };
    return SoftmaxCrossEntropyArgs{
        at(logits), integers(labels), train ? integers(labels2) : nullptr, train ? at(mix) : nullptr, at(dlogits), scale, at(totals)};
  });
}

}  // namespace sknet::plan
