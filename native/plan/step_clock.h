// What each step took, from when steps end: those that end together (StepOutcome) took each the same.
#pragma once

#include <chrono>

namespace sknet::plan {

class StepClock {
 public:
  // Seconds of the step that has just ended; the clock began with the first step, or with the end of the step before.
  double step_ended(int together) {
    const Clock::time_point now = Clock::now();
    const double since = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    if (together == 0) return share_ + since;
    return share_ = since / together;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
  double share_ = 0;  // of each of the steps that ended with the last one
};

}  // namespace sknet::plan
