#include "plan/plan.h"

#include <algorithm>

#include "core/error.h"

namespace sknet::plan {

void Plan::copy_values(Plan& from, bool ema) {
  const std::vector<Tensor>&to = graph().tensors, &source = from.graph().tensors;
  const bool same = std::equal(to.begin(), to.end(), source.begin(), source.end(),
                               [](const Tensor& a, const Tensor& b) { return a.name == b.name && a.shape == b.shape; });
  check(same, "ERR_SKNET_WEIGHTS", "the two plans describe different tensors");
  std::vector<float> data;
  for (size_t i = 0; i < to.size(); ++i) {
    data.resize(static_cast<size_t>(to[i].size()));
    check(from.read(ema ? Section::kEma : Section::kValue, source[i], data.data()), "ERR_SKNET_NATIVE", "the plan keeps no EMA");
    write(Section::kValue, to[i], data.data());
  }
}

namespace {

[[noreturn]] void throw_wants_floats() { throw Error("ERR_SKNET_NATIVE", "the plan reads batches of floats, the loader delivers bytes"); }

}  // namespace

void Plan::submit(const Pictures&, const Targets&, float) { throw_wants_floats(); }

void Plan::submit_evaluation(const Pictures&, const int32_t*, int) { throw_wants_floats(); }

}  // namespace sknet::plan
