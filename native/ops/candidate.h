// One implementation of one direction of an op. A registry lists candidates in order, fast first; the first that accepts is used.
#pragma once

#include <cstddef>

#include "core/exec.h"

namespace sknet {

template <class Problem, class Args>
struct Candidate {
  const char* name;
  const char* (*refuse)(const Problem&);  // nullptr: accepted; otherwise the reason, for people. A null pointer accepts everything.
  size_t (*workspace)(const Problem&);    // bytes shared by the threads; a null pointer means none
  size_t (*scratch)(const Problem&);      // bytes a thread; a null pointer means none
  void (*run)(const Problem&, const Args&, const Exec&);
  // Weights in the form run() wants them, where that form is worth keeping while the weights stay the same (inference, the shards of a
  // step): bytes, and what writes them to exec.packed. Null pointers: nothing to keep.
  size_t (*packed)(const Problem&) = nullptr;
  void (*pack)(const Problem&, const Args&, const Exec&) = nullptr;
};

}  // namespace sknet
