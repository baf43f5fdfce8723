// Work that an op can do in passing for a neighbour, against a pass of its own for it: weighed where candidates are timed.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>

namespace sknet::plan {

struct Weighing {
  bool apart = false;  // the pass of its own is faster
  std::string note;    // for people; empty where nothing was weighed
};

// Seconds of the ops that take part either way; where one is not known, nothing is weighed.
Weighing weigh(const char* what, std::initializer_list<std::optional<double>> passing, std::initializer_list<std::optional<double>> apart);

}  // namespace sknet::plan
