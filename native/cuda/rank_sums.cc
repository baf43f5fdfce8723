#include "cuda/rank_sums.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "core/error.h"

namespace sknet::cuda {

RankSums::RankSums(const plan::RankSpec& ranks, std::vector<plan::Bucket> buckets)
    : communicator_(ranks), buckets_(std::move(buckets)), summed_(make_event()), stream_(make_stream()) {
  for (size_t i = 0; i < buckets_.size(); ++i) complete_.push_back(make_event());
}

// The communicator must not go while the device works for it.
RankSums::~RankSums() {
  try {
    finish("parting");
  } catch (const std::exception&) {
    // Whoever used the plan was told; a rank that is lost has ended what was under way.
  }
}

void RankSums::finish(const char* what) {
  check_cuda(cudaEventRecord(summed_.get(), stream_.get()), what);
  wait(summed_.get());
}

// Each rank adds its own to a row of zeros: the sums are all ranks', in pieces that float32 holds.
void RankSums::compare(uint64_t fingerprint) {
  constexpr int kPieces = 4, kPieceBits = 64 / kPieces;
  const plan::RankSpec& ranks = communicator_.ranks();
  const int64_t floats = int64_t{kPieces} * ranks.count;
  std::vector<float> all(static_cast<size_t>(floats));
  const auto row = [&](int rank) { return all.data() + kPieces * rank; };
  for (int i = 0; i < kPieces; ++i) row(ranks.rank)[i] = static_cast<float>(fingerprint >> (kPieceBits * i) & ((1 << kPieceBits) - 1));
  const size_t bytes = all.size() * sizeof(float);
  void* p = nullptr;
  check_cuda(cudaMalloc(&p, bytes), "comparing the ranks");
  const DeviceMemory memory(static_cast<char*>(p));
  check_cuda(cudaMemcpyAsync(p, all.data(), bytes, cudaMemcpyHostToDevice, stream_.get()), "comparing the ranks");
  communicator_.sum(static_cast<float*>(p), floats, stream_.get());
  check_cuda(cudaMemcpyAsync(all.data(), p, bytes, cudaMemcpyDeviceToHost, stream_.get()), "comparing the ranks");
  finish("comparing the ranks");
  for (int rank = 1; rank < ranks.count; ++rank) {
    if (std::equal(row(0), row(0) + kPieces, row(rank))) continue;
    const std::string other = "rank " + std::to_string(rank);
    throw Error("ERR_SKNET_OPTION", other + " trains another network than rank 0, or with another batch size, precision or optimizer")
        .with_option("devices")
        .with_got(other)
        .with_expected("the same network and options on all ranks");
  }
}

void RankSums::connect(float* results) {
  for (const plan::Bucket& bucket : buckets_) communicator_.sum(results + bucket.first, bucket.floats, stream_.get());
  finish("connecting the ranks");
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
