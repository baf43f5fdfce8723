// Chooses candidates by their times on the calling thread's device, on operands of their own that are no plan's. What was timed before is
// taken from the cache. Memory that is too small leaves a problem to the registry's order, and the plan says so.
#pragma once

#include <functional>
#include <string>

#include "cuda/handles.h"
#include "cuda/tuning/choice_cache.h"
#include "plan/chooser.h"
#include "plan/spec.h"

namespace sknet::cuda {

class TimedChooser : public plan::Chooser {
 public:
  // `packs`: weights are packed each time a step runs (Program::keeps_packed), so that this counts.
  TimedChooser(Precision precision, bool packs);
  // Keeps what was timed.
  ~TimedChooser() override;

  bool measures() const override { return true; }
  plan::Contest known(const std::string& op, const Conv2dProblem& p) override;
  plan::Contest known(const std::string& op, const SkSplitProblem& p) override;
  plan::Contest known(const std::string& op, const SkSelectProblem& p) override;
  plan::Contest known(const std::string& op, const BatchNormProblem& p) override;
  plan::Contest time(const std::string& op, const List<Conv2dForward>& list, const Conv2dProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<Conv2dBackwardData>& list, const Conv2dProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<Conv2dBackwardWeight>& list, const Conv2dProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<SkSplitForward>& list, const SkSplitProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<SkSplitBackward>& list, const SkSplitProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<SkSelectForward>& list, const SkSelectProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<BatchNormStatistics>& list, const BatchNormProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<BatchNormApply>& list, const BatchNormProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<BatchNormClose>& list, const BatchNormProblem& p, const Refusals& refused,
                     bool all) override;
  plan::Contest time(const std::string& op, const List<BatchNormGradient>& list, const BatchNormProblem& p, const Refusals& refused,
                     bool all) override;

 private:
  template <class Problem, class Args>
  plan::Contest contest(const std::string& op, const List<Candidate<Problem, Args>>& list, const Problem& p, const Refusals& refused,
                        bool all);
  template <class Problem, class Args>
  plan::Contest hold(const List<Candidate<Problem, Args>>& list, const Problem& p);
  // What the cache calls a problem.
  std::string key(const std::string& op, const std::string& problem) const;
  plan::Contest kept(const std::string& key) const;
  // False where the device has less.
  bool reserve(int64_t bytes);
  // Seconds of one call; of one that takes several times `best` no more than a first impression.
  double measure(const std::function<void()>& call, double best);
  double elapsed(const std::function<void()>& call, int calls);

  Precision precision_;
  bool packs_;
  ChoiceCache cache_;
  Stream stream_;
  Event start_, end_;
  DeviceMemory memory_;
  int64_t bytes_ = 0;
};

}  // namespace sknet::cuda
