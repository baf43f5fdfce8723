// Who decides among several candidates that accept a problem: the registry's order, or on a device measurements (cuda/tuning).
#pragma once

#include <string>
#include <vector>

#include "ops/registry.h"
#include "plan/step.h"

namespace sknet::plan {

// What was found about the candidates of a problem.
struct Contest {
  std::vector<Trial> trials;     // of those that accept, fastest first; empty: the registry's order decides
  std::vector<Refusal> refused;  // by the others, and for those that accepted and then did not run
  std::string note;              // why there are no trials, for people
};

// This one leaves everything to the registry's order.
class Chooser {
 public:
  template <class T>
  using List = OpTable::List<T>;
  using Refusals = std::vector<Refusal>;

  virtual ~Chooser() = default;

  virtual bool measures() const { return false; }

  // What an earlier contest of all candidates found, so that none has to be asked again; no trials where there was none.
  virtual Contest known(const std::string&, const Conv2dProblem&) { return {}; }
  virtual Contest known(const std::string&, const SkSplitProblem&) { return {}; }
  virtual Contest known(const std::string&, const SkSelectProblem&) { return {}; }
  virtual Contest known(const std::string&, const BatchNormProblem&) { return {}; }
  template <class Problem>
  Contest known(const std::string&, const Problem&) {
    return {};
  }

  // A contest of those that accept, beside what the others said; `all`: there are no others than these two. For the ops that have several
  // candidates, and those that take over what a candidate does not do in passing.
  virtual Contest time(const std::string&, const List<Conv2dForward>&, const Conv2dProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<Conv2dBackwardData>&, const Conv2dProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<Conv2dBackwardWeight>&, const Conv2dProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<SkSplitForward>&, const SkSplitProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<SkSplitBackward>&, const SkSplitProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<SkSelectForward>&, const SkSelectProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormStatistics>&, const BatchNormProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormApply>&, const BatchNormProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormClose>&, const BatchNormProblem&, const Refusals&, bool) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormGradient>&, const BatchNormProblem&, const Refusals&, bool) { return {}; }
  template <class C, class Problem>
  Contest time(const std::string&, const std::vector<const C*>&, const Problem&, const Refusals&, bool) {
    return {};
  }
};

// The one that leaves everything to the registry's order.
Chooser& registry_order();

}  // namespace sknet::plan
