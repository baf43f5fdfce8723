// Sums of the ranks' results, a bucket at a time, on a stream of its own beside backward. What is started while a step is recorded becomes
// part of the recorded step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/communicator.h"
#include "cuda/handles.h"
#include "plan/buckets.h"

namespace sknet::cuda {

class RankSums {
 public:
  RankSums(const plan::RankSpec& ranks, std::vector<plan::Bucket> buckets);
  ~RankSums();
  RankSums(const RankSums&) = delete;
  RankSums& operator=(const RankSums&) = delete;

  // Throws Error ERR_SKNET_OPTION on all ranks unless all have the same fingerprint, since sums of other sizes would never end.
  void compare(uint64_t fingerprint);
  // Sums all of `results` once, so that what the library sets up at the first sums is set up before a step is recorded.
  void connect(float* results);
  // The sums of bucket `index` of `results`, as it is behind what was launched on `compute`.
  void start(size_t index, float* results, cudaStream_t compute);
  // What is launched on `compute` from here on sees all sums that were started.
  void join(cudaStream_t compute);
  // Waits for a step's end. Throws Error ERR_SKNET_PEER_LOST if a rank is lost meanwhile or was before.
  void wait(cudaEvent_t done);
  void check() { communicator_.check(); }

 private:
  void finish(const char* what);

  Communicator communicator_;
  std::vector<plan::Bucket> buckets_;
  std::vector<Event> complete_;  // one a bucket
  Event summed_;
  Stream stream_;
};

}  // namespace sknet::cuda
