#include "cuda/step_timer.h"

namespace sknet::cuda {

void StepTimer::put(size_t step, cudaStream_t stream) {
  if (used_ == marks_.size()) {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreate(&event), "making an event");
    marks_.push_back({Event(event), kNone});
  }
  marks_[used_].step = step;
  check_cuda(cudaEventRecord(marks_[used_++].event.get(), stream), "timing a step");
}

void StepTimer::start(cudaStream_t stream) { put(kNone, stream); }

void StepTimer::mark(size_t step, cudaStream_t stream) { put(step, stream); }

void StepTimer::collect() {
  for (size_t i = 1; i < used_; ++i) {
    if (marks_[i].step == kNone) continue;
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, marks_[i - 1].event.get(), marks_[i].event.get()), "timing a step");
    seconds_[marks_[i].step] += 1e-3 * static_cast<double>(milliseconds);
  }
  used_ = 0;
}

}  // namespace sknet::cuda
