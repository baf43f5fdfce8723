// Choosing a candidate from the registry: the first that accepts, or the one asked for by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "plan/step.h"

namespace sknet::plan {

// Null where none accepts; why is in `refused`.
template <class C, class Problem>
const C* find(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op,
              const std::map<std::string, std::string>& forced, std::vector<Refusal>* refused) {
  const auto want = forced.find(op);
  for (const C* candidate : candidates) {
    if (want != forced.end() && want->second != candidate->name) continue;
    const char* reason = candidate->refuse == nullptr ? nullptr : candidate->refuse(problem);
    if (reason == nullptr) return candidate;
    refused->push_back({candidate->name, reason});
  }
  return nullptr;
}

template <class C, class Problem>
const C& choose(const std::vector<const C*>& candidates, const Problem& problem, const std::string& op,
                const std::map<std::string, std::string>& forced, std::vector<Refusal>* refused) {
  if (const C* candidate = find(candidates, problem, op, forced, refused)) return *candidate;
  std::string offered;
  for (const C* candidate : candidates) offered += (offered.empty() ? "" : ", ") + std::string(candidate->name);
  const std::string cause = refused->empty() ? "no such candidate" : refused->back().candidate + ": " + refused->back().reason;
  throw Error("ERR_SKNET_OPTION", op + ": no candidate accepts (" + cause + ")").with_option("candidates." + op).with_expected(offered);
}

}  // namespace sknet::plan
