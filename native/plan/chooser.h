// Who decides among several candidates that accept a problem: the registry's order, or on a device measurements (cuda/tuning).
#pragma once

#include <string>
#include <vector>

#include "ops/registry.h"
#include "plan/step.h"

namespace sknet::plan {

// What was found about candidates that all accept a problem.
struct Contest {
  std::vector<Trial> trials;    // fastest first; empty: the registry's order decides
  std::vector<Refusal> failed;  // those that accepted and then did not run
  std::string note;             // why there are no trials, for people
};

// This one leaves everything to the registry's order.
class Chooser {
 public:
  template <class T>
  using List = OpTable::List<T>;

  virtual ~Chooser() = default;

  virtual bool measures() const { return false; }

  // The ops that have several candidates, and those that take over what a candidate does not do in passing.
  virtual Contest time(const std::string&, const List<Conv2dForward>&, const Conv2dProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<Conv2dBackwardData>&, const Conv2dProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<Conv2dBackwardWeight>&, const Conv2dProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<SkSplitForward>&, const SkSplitProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<SkSplitBackward>&, const SkSplitProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormStatistics>&, const BatchNormProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormApply>&, const BatchNormProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormClose>&, const BatchNormProblem&) { return {}; }
  virtual Contest time(const std::string&, const List<BatchNormGradient>&, const BatchNormProblem&) { return {}; }
  // All others have one candidate.
  template <class C, class Problem>
  Contest time(const std::string&, const std::vector<const C*>&, const Problem&) {
    return {};
  }
};

// The one that leaves everything to the registry's order.
Chooser& registry_order();

}  // namespace sknet::plan
