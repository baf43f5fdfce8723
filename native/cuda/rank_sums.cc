#include "cuda/rank_sums.h"

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

namespace sknet::cuda {

RankSums::RankSums(const plan::RankSpec& ranks, std::vector<plan::Bucket> buckets)
    : communicator_(ranks), buckets_(std::move(buckets)), summed_(make_event()), stream_(make_stream()) {
  for (size_t i = 0; i < buckets_.size(); ++i) complete_.push_back(make_event());
}

// The communicator must not go while the device works for it.
RankSums::~RankSums() {
  try {
    check_cuda(cudaEventRecord(summed_.get(), stream_.get()), "parting");
    wait(summed_.get());
  } catch (const std::exception&) {
    // Whoever used the plan was told; a rank that is lost has ended what was under way.
  }
}

void RankSums::connect(float* results) {
  for (const plan::Bucket& bucket : buckets_) communicator_.sum(results + bucket.first, bucket.floats, stream_.get());
  check_cuda(cudaEventRecord(summed_.get(), stream_.get()), "connecting the ranks");
  wait(summed_.get());
}

void RankSums::start(size_t index, float* results, cudaStream_t compute) {
  const plan::Bucket& bucket = buckets_[index];
  const cudaEvent_t complete = complete_[index].get();
  check_cuda(cudaEventRecord(complete, compute), "completing gradients");
  check_cuda(cudaStreamWaitEvent(stream_.get(), complete, 0), "waiting for gradients");
  communicator_.sum(results + bucket.first, bucket.floats, stream_.get());
}

void RankSums::join(cudaStream_t compute) {
  check_cuda(cudaEventRecord(summed_.get(), stream_.get()), "summing gradients");
  check_cuda(cudaStreamWaitEvent(compute, summed_.get(), 0), "waiting for sums");
}

void RankSums::wait(cudaEvent_t done) {
  for (;;) {
    const cudaError_t state = cudaEventQuery(done);
    communicator_.check();
    if (state != cudaErrorNotReady) return check_cuda(state, "running a step");
    (void)cudaGetLastError();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace sknet::cuda
