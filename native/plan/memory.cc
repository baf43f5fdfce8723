#include "plan/memory.h"

#include <algorithm>
#include <numeric>

namespace sknet::plan {

int64_t lay_out(std::vector<Value>& values) {
  constexpr int64_t kAlign = 16;
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return values[static_cast<size_t>(a)].floats > values[static_cast<size_t>(b)].floats; });
  std::vector<const Value*> placed;  // by offset
  int64_t end = 0;
  for (const int index : order) {
    Value& v = values[static_cast<size_t>(index)];
    if (v.first < 0) continue;  // nobody touches it
    const int64_t size = (v.floats + kAlign - 1) / kAlign * kAlign;
    int64_t at = 0;
    for (const Value* other : placed) {
      const bool together = other->first <= v.last && v.first <= other->last;
      if (!together) continue;
      if (other->offset >= at + size) break;
      at = std::max(at, other->offset + (other->floats + kAlign - 1) / kAlign * kAlign);
    }
    v.offset = at;
    end = std::max(end, at + size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &v, [](const Value* a, const Value* b) { return a->offset < b->offset; }),
                  &v);
  }
  return end;
}

float* Memory::operator()(const Ref& ref) const {
  if (ref.region == Region::kNone) return nullptr;
  if (values_ == nullptr) {
    if (ref.region == Region::kActivation) touched_.push_back(static_cast<int>(ref.at));
    if (ref.region == Region::kResults) touched_results_.push_back(ref.at);
    return nullptr;
  }
  switch (ref.region) {
    case Region::kValues:
      return tensor_values_ + ref.at;
    case Region::kResults:
      return results_ + ref.at;
    case Region::kLabels:
      return labels_ + ref.at;
    default:
      return activations_ + (*values_)[static_cast<size_t>(ref.at)].offset;
  }
}

}  // namespace sknet::plan
