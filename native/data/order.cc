#include "data/order.h"

#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/philox.h"

namespace sknet::data {

std::vector<int32_t> epoch_order(int64_t size, uint64_t seed, uint32_t epoch, bool shuffle) {
  check(size >= 0 && size <= std::numeric_limits<int32_t>::max(), "ERR_SKNET_DATA", "a data set may have at most 2^31 - 1 samples");
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  if (!shuffle) return order;
  PhiloxStream random(seed, epoch, 0, RandomPurpose::kOrder);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
  return order;
}

}  // namespace sknet::data
