#include "cuda/communicator.h"

#include <chrono>
#include <cstring>
#include <thread>

#include "cuda/libraries.h"

namespace sknet::cuda {

namespace {

using namespace vendor::nccl;  // NOLINT(google-build-using-namespace): this file is its one user
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{120};  // for ranks that start up, and for a call to get under way
constexpr std::chrono::seconds kFarewell{10};   // for ranks to part

const Api& usable_api() {
  const std::string refused = library_refused(report(), "SKNET_NCCL_PATH");
  if (refused.empty()) return *api();
  throw Error("ERR_SKNET_DEVICE", "several devices train together through NCCL: " + refused)
      .with_option("devices")
      .with_expected("NCCL 2.18 or later, or one device");
}

// Where a non-blocking communicator stands.
Result state_of(const Api& nccl, Comm comm) {
  Result state = kSuccess;
  const Result asked = nccl.comm_get_async_error(comm, &state);
  return asked == kSuccess ? state : asked;
}

// Not for a rank that is gone, which is told as an error of the system, of the library or of the other side, by what notices first.
bool is_own_fault(Result result) { return result == kUnhandledCudaError || result == kInvalidArgument || result == kInvalidUsage; }

// kInProgress: still not after `patience`.
Result outcome(const Api& nccl, Comm comm, Result result, std::chrono::seconds patience) {
  for (const Clock::time_point start = Clock::now(); result == kInProgress && Clock::now() - start < patience;) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    result = state_of(nccl, comm);
  }
  return result;
}

}  // namespace

std::string make_rank_id() {
  const Api& nccl = usable_api();
  UniqueId id{};
  const Result result = nccl.get_unique_id(&id);
  if (result == kSuccess) return {id.internal, sizeof(id.internal)};
  throw Error("ERR_SKNET_DEVICE", std::string("NCCL, making an id for the ranks: ") + nccl.get_error_string(result)).with_option("devices");
}

Communicator::Communicator(const plan::RankSpec& ranks) : ranks_(ranks) {
  const Api& nccl = usable_api();
  UniqueId id{};
  sknet::check(ranks.id.size() == sizeof(id.internal), "ERR_SKNET_NATIVE", "the id of the ranks has the wrong size");
  std::memcpy(id.internal, ranks.id.data(), sizeof(id.internal));
  Config config;
  config.blocking = 0;
  settle(nccl.comm_init_rank_config(&comm_, ranks.count, id, ranks.rank, &config), "joining the other ranks");
}

Communicator::~Communicator() {
  if (comm_ == nullptr) return;
  const Api& nccl = *api();
  if (outcome(nccl, comm_, nccl.comm_finalize(comm_), kFarewell) == kSuccess) {
    (void)nccl.comm_destroy(comm_);
  } else {
    (void)nccl.comm_abort(comm_);
  }
}

void Communicator::sum(float* data, int64_t floats, cudaStream_t stream) {
  check();
  settle(api()->all_reduce(data, data, static_cast<size_t>(floats), kFloat32, kSum, comm_, stream), "summing gradients");
}

void Communicator::check() {
  if (lost_.empty()) {
    const Result state = state_of(*api(), comm_);
    if (state != kSuccess && state != kInProgress) lose(state, "summing gradients");
    return;
  }
  throw lost();
}

void Communicator::settle(Result result, const char* what) {
  const Result end = outcome(*api(), comm_, result, kPatience);
  if (end != kSuccess) lose(end, what);
}

void Communicator::lose(Result result, const char* what) {
  const Api& nccl = *api();
  const std::string words =
      result == kInProgress ? "no answer within " + std::to_string(kPatience.count()) + " s" : nccl.get_error_string(result);
  lost_ = "rank " + std::to_string(ranks_.rank) + " of " + std::to_string(ranks_.count) + ", " + what + ": " + words;
  if (comm_ != nullptr) {
    const char* more = nccl.get_last_error(comm_);
    if (more != nullptr && *more != '\0') lost_ += std::string(" (") + more + ")";
    // Not destroyed, which would wait for the others.
    (void)nccl.comm_abort(comm_);
    comm_ = nullptr;
  }
  own_fault_ = is_own_fault(result);
  throw lost();
}

Error Communicator::lost() const {
  return Error(own_fault_ ? "ERR_SKNET_DEVICE" : "ERR_SKNET_PEER_LOST", lost_)
      .with_option("devices")
      .with_expected("all ranks; start them again to resume");
}

}  // namespace sknet::cuda
