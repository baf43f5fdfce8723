#include "plan/buckets.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace sknet::plan {

namespace {

// Offset of a tensor's results, or of the totals -> the last step that touches them.
std::map<int64_t, size_t> last_steps(const Program& program) {
  std::map<int64_t, size_t> last;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    for (const int64_t at : program.steps[i].results) last[at] = i;
  }
  return last;
}

}  // namespace

std::vector<Bucket> result_buckets(const Program& program, int64_t least) {
  const std::map<int64_t, size_t> last = last_steps(program);
  const auto complete = [&](int64_t first, int64_t end) {
    size_t after = 0;
    for (auto at = last.lower_bound(first); at != last.end() && at->first < end; ++at) after = std::max(after, at->second);
    return after;
  };
  const int64_t parameters = program.graph.parameter_floats, all = program.sizes.results;
  const int64_t enough = std::max(parameters / 5, least / static_cast<int64_t>(sizeof(float)));
  std::vector<Bucket> buckets = {{parameters, all - parameters, complete(parameters, all)}};
  int64_t end = parameters;
  const std::vector<Tensor>& tensors = program.graph.tensors;
  for (auto tensor = tensors.rbegin(); tensor != tensors.rend(); ++tensor) {
    if (tensor->buffer || (end - tensor->offset < enough && tensor->offset > 0)) continue;
    // Not before the one in front of it.
    const size_t after = std::max(buckets.back().after, complete(tensor->offset, end));
    buckets.push_back({tensor->offset, end - tensor->offset, after});
    end = tensor->offset;
  }
  return buckets;
}

Bucket whole_results(const Program& program) {
  const auto bound = std::find_if(program.steps.rbegin(), program.steps.rend(), [](const Step& step) { return step.bind != nullptr; });
  return {0, program.sizes.results, static_cast<size_t>(std::distance(bound, program.steps.rend())) - 1};
}

}  // namespace sknet::plan
