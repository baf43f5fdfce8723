// Choosing a candidate from the registry: the first that accepts, the fastest where a Chooser measures, or the one asked for by name.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "plan/chooser.h"
#include "plan/step.h"

namespace sknet::plan {

using Forced = std::map<std::string, std::string>;  // op -> candidate

template <class C>
struct Choice {
  const C* candidate = nullptr;  // null where none accepts; why is in the contest's `refused`
  Contest contest;
};

template <class C>
const C* by_name(const std::vector<const C*>& candidates, const std::string& name) {
  const auto found = std::find_if(candidates.begin(), candidates.end(), [&](const C* candidate) { return name == candidate->name; });
  return found == candidates.end() ? nullptr : *found;
}

// An empty reason of a candidate's is one that another has told already. Those that accept, in the registry's order; without measuring no
// more than one, and the plain one at its end only where it is alone.
template <class C, class Problem>
std::vector<const C*> accepting(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op,
                                const Forced& forced, const Chooser& chooser, std::vector<Refusal>* refused) {
  const auto want = forced.find(op);
  std::vector<const C*> list;
  for (const C* candidate : candidates) {
    if (want != forced.end() && want->second != candidate->name) continue;
    const char* reason = candidate->refuse == nullptr ? nullptr : candidate->refuse(problem);
    if (reason == nullptr && candidate == candidates.back() && !list.empty()) reason = "for what no other candidate accepts";
    if (reason == nullptr) {
      list.push_back(candidate);
      if (!chooser.measures()) break;
    } else if (*reason != '\0' || want != forced.end()) {
      refused->push_back({candidate->name, *reason != '\0' ? reason : "there are fewer of its kind"});
    }
  }
  return list;
}

// How long each takes, where candidates are timed; `alone`: even where one alone accepts.
template <class C, class Problem>
Contest contest_of(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op, const Forced& forced,
                   Chooser& chooser, bool alone) {
  const bool all = !forced.contains(op);
  if (all) {
    // That candidate may have more to prepare than to say.
    Contest known = chooser.known(op, problem);
    const C* fastest = known.trials.empty() ? nullptr : by_name(candidates, known.trials.front().candidate);
    if (fastest != nullptr && (fastest->refuse == nullptr || fastest->refuse(problem) == nullptr)) return known;
  }
  Contest contest;
  const std::vector<const C*> list = accepting(candidates, problem, op, forced, chooser, &contest.refused);
  return list.size() < (alone ? 1 : 2) ? contest : chooser.time(op, list, problem, contest.refused, all);
}

template <class C, class Problem>
Choice<C> find(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op, const Forced& forced,
               Chooser& chooser) {
  Choice<C> choice;
  if (chooser.measures()) choice.contest = contest_of(candidates, problem, op, forced, chooser, false);
  if (!choice.contest.trials.empty()) {
    choice.candidate = by_name(candidates, choice.contest.trials.front().candidate);
    if (choice.contest.trials.size() == 1) choice.contest.trials.clear();
    return choice;
  }
  // In the registry's order, without those that did not run.
  std::vector<Refusal> refused;
  for (const C* candidate : accepting(candidates, problem, op, forced, chooser, &refused)) {
    const auto failed = [&](const Refusal& refusal) { return refusal.candidate == candidate->name; };
    if (std::any_of(choice.contest.refused.begin(), choice.contest.refused.end(), failed)) continue;
    choice.candidate = candidate;
    break;
  }
  if (choice.contest.refused.empty()) choice.contest.refused = std::move(refused);
  return choice;
}

template <class C, class Problem>
Choice<C> choose(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op, const Forced& forced,
                 Chooser& chooser) {
  Choice<C> choice = find(candidates, problem, op, forced, chooser);
  if (choice.candidate != nullptr) return choice;
  const std::vector<Refusal>& refused = choice.contest.refused;
  std::string offered;
  for (const C* candidate : candidates) offered += (offered.empty() ? "" : ", ") + std::string(candidate->name);
  const std::string cause = refused.empty() ? "no such candidate" : refused.back().candidate + ": " + refused.back().reason;
  throw Error("ERR_SKNET_OPTION", op + ": no candidate accepts (" + cause + ")").with_option("candidates." + op).with_expected(offered);
}

}  // namespace sknet::plan
