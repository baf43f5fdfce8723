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
  const C* candidate = nullptr;  // null where none accepts; why is in `refused`
  std::vector<Refusal> refused;
  Contest contest;
};

// Those that accept, in the registry's order; without measuring no more than one, and the plain one at its end only where it is alone.
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
    } else {
      refused->push_back({candidate->name, reason});
    }
  }
  return list;
}

template <class C, class Problem>
Choice<C> find(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op, const Forced& forced,
               Chooser& chooser) {
  Choice<C> choice;
  std::vector<const C*> list = accepting(candidates, problem, op, forced, chooser, &choice.refused);
  if (list.size() > 1) choice.contest = chooser.time(op, list, problem);
  for (const Refusal& failure : choice.contest.failed) {
    std::erase_if(list, [&](const C* candidate) { return failure.candidate == candidate->name; });
    choice.refused.push_back(failure);
  }
  if (list.empty()) return choice;
  choice.candidate = list.front();
  if (choice.contest.trials.empty()) return choice;
  const std::string& fastest = choice.contest.trials.front().candidate;
  choice.candidate = *std::find_if(list.begin(), list.end(), [&](const C* candidate) { return fastest == candidate->name; });
  return choice;
}

template <class C, class Problem>
Choice<C> choose(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op, const Forced& forced,
                 Chooser& chooser) {
  Choice<C> choice = find(candidates, problem, op, forced, chooser);
  if (choice.candidate != nullptr) return choice;
  std::string offered;
  for (const C* candidate : candidates) offered += (offered.empty() ? "" : ", ") + std::string(candidate->name);
  const std::string cause =
      choice.refused.empty() ? "no such candidate" : choice.refused.back().candidate + ": " + choice.refused.back().reason;
  throw Error("ERR_SKNET_OPTION", op + ": no candidate accepts (" + cause + ")").with_option("candidates." + op).with_expected(offered);
}

}  // namespace sknet::plan
