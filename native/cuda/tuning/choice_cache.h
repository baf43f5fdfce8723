// Contests of candidates that outlive the process, so that a problem is timed once and a resumed run repeats its choices. One file for each
// environment (device, driver, libraries, version of sknet), in SKNET_CUDA_CACHE, else XDG_CACHE_HOME/sknet, else ~/.cache/sknet;
// SKNET_CUDA_CACHE=0: none. A file that is damaged or of another environment counts as empty and is replaced; files are written whole and
// then renamed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plan/chooser.h"

namespace sknet::cuda {

class ChoiceCache {
 public:
  // `environment`: one line. Reads what earlier processes left.
  explicit ChoiceCache(const std::string& environment);

  // Null where the problem was not timed yet.
  const plan::Contest* find(const std::string& problem) const;
  // What was known of the problem is replaced; `outlive`: to be saved, too.
  void add(const std::string& problem, const plan::Contest& contest, bool outlive);
  // Beside what other processes wrote meanwhile; does nothing where nothing was added.
  void save();

  // Why times are not kept; empty where they are.
  const std::string& unkept() const { return unkept_; }

 private:
  using Problems = std::map<std::string, plan::Contest>;
  Problems read() const;

  std::string environment_, path_, unkept_;
  Problems problems_, added_;
};

}  // namespace sknet::cuda
