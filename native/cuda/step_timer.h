// Seconds that the device spends in each step of a plan: an event behind each, read when the run is over. Kernels do not overlap across
// events, so the sum is a little more than a run without them takes.
#pragma once

#include <vector>

#include "cuda/handles.h"

namespace sknet::cuda {

class StepTimer {
 public:
  explicit StepTimer(size_t steps) : seconds_(steps) {}

  // What is launched from here on belongs to the next mark.
  void start(cudaStream_t stream);
  // What was launched since the last mark was this step's.
  void mark(size_t step, cudaStream_t stream);
  // Adds up what was marked since start(); the stream has been waited for.
  void collect();
  double seconds(size_t step) const { return seconds_[step]; }

 private:
  static constexpr size_t kNone = ~size_t{0};
  struct Mark {
    Event event;
    size_t step;
  };
  void put(size_t step, cudaStream_t stream);

  std::vector<double> seconds_;
  std::vector<Mark> marks_;  // those behind used_ wait for the next run
  size_t used_ = 0;
};

}  // namespace sknet::cuda
