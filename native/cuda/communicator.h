// This rank's place among those that train together, on NCCL. Its calls never wait for a rank that is gone: they are made without blocking
// and asked after.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "cuda/simt/runtime.h"
#include "plan/spec.h"
#include "vendor/nccl/nccl.h"

namespace sknet::cuda {

// A new group's id, for one rank to make and all to be given. Throws Error ERR_SKNET_DEVICE where NCCL cannot be used.
std::string make_rank_id();

class Communicator {
 public:
  // Of the calling thread's device; returns when all ranks have come. Throws Error ERR_SKNET_DEVICE where NCCL cannot be used or refuses
  // the call, ERR_SKNET_PEER_LOST where a rank fails, or does not come within two minutes.
  explicit Communicator(const plan::RankSpec& ranks);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  const plan::RankSpec& ranks() const { return ranks_; }
  // Behind what is on `stream`: the sum over all ranks, on every rank. All ranks must call it for the same sizes in the same order.
  void sum(float* data, int64_t floats, cudaStream_t stream);
  // Throws Error ERR_SKNET_PEER_LOST if a rank was lost, now and at every later call; what was under way on streams then ends.
  void check();

 private:
  // Asks until `result` is no longer "in progress".
  void settle(vendor::nccl::Result result, const char* what);
  [[noreturn]] void lose(vendor::nccl::Result result, const char* what);
  Error lost() const;

  plan::RankSpec ranks_;
  vendor::nccl::Comm comm_ = nullptr;
  std::string lost_;        // in words, once a rank was
  bool own_fault_ = false;  // nobody was: a call failed here
};

}  // namespace sknet::cuda
