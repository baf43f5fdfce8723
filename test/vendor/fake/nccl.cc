// A libnccl.so.2 for the emulated device: processes meet in shared memory that is named by the id, and sums are made in the order of the
// ranks. With SKNET_FAKE_LIBRARY=refuse it makes no communicator, with "fail" it takes no sum, with "lose" the last rank is lost in its
// thirteenth sum.
#include "vendor/nccl/nccl.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>

#include "emulator.h"

namespace {

using sknet::vendor::nccl::Config;
using sknet::vendor::nccl::UniqueId;

constexpr int kSuccess = 0, kSystemError = 2, kInvalidArgument = 4, kInvalidUsage = 5, kRemoteError = 6, kInProgress = 7;
constexpr int kFloat32 = 7, kSum = 0;
constexpr int kMostRanks = 8;
constexpr size_t kPiece = 1 << 14;
constexpr int kLostIn = 13;

struct Meeting {
  std::atomic<int> joined, arrived, turn, lost;
  float numbers[kMostRanks][kPiece];
};

struct Communicator {
  Meeting* meeting;
  int ranks, rank;
  int sums = 0;
};

// Waits for all ranks; false where one is lost.
bool meet(Communicator& comm) {
  Meeting& m = *comm.meeting;
  const int turn = m.turn;
  if (++m.arrived == comm.ranks) {
    m.arrived = 0;
    ++m.turn;
  }
  while (m.turn == turn && m.lost == 0) usleep(20);
  return m.lost == 0;
}

void add_up(Communicator& comm, const float* from, float* to, size_t count) {
  if (sknet::fake::told_to("lose") && comm.rank == comm.ranks - 1 && ++comm.sums == kLostIn) comm.meeting->lost = 1;
  for (size_t first = 0; first < count; first += kPiece) {
    const size_t n = std::min(kPiece, count - first);
    std::copy_n(from + first, n, comm.meeting->numbers[comm.rank]);
    if (!meet(comm)) return;
    for (size_t i = 0; i < n; ++i) {
      float sum = comm.meeting->numbers[0][i];
      for (int rank = 1; rank < comm.ranks; ++rank) sum += comm.meeting->numbers[rank][i];
      to[first + i] = sum;
    }
    if (!meet(comm)) return;
  }
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) { return *version = 22803, kSuccess; }
const char* ncclGetErrorString(int result) { return result == kRemoteError ? "remote process exited" : "invalid usage"; }
const char* ncclGetLastError(Communicator*) { return sknet::fake::told_to("lose") ? "the last rank hung up" : ""; }

int ncclGetUniqueId(UniqueId* id) {
  if (sknet::fake::told_to("refuse")) return kInvalidUsage;
  return getrandom(id->internal, sizeof(id->internal), 0) == static_cast<ssize_t>(sizeof(id->internal)) ? kSuccess : kSystemError;
}

int ncclCommInitRankConfig(Communicator** to, int ranks, UniqueId id, int rank, Config* config) {
  if (config->size != sizeof(Config) || config->magic != 0xcafebeef || config->blocking != 0) return kInvalidArgument;
  if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks) return kInvalidArgument;
  std::string name = "/sknet-nccl-";
  for (int i = 0; i < 16; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof(hex), "%02x", static_cast<unsigned char>(id.internal[i]));
    name += hex;
  }
  const int file = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, sizeof(Meeting)) != 0) return kSystemError;
  void* memory = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return kSystemError;
  *to = new Communicator{static_cast<Meeting*>(memory), ranks, rank};
  if (++(*to)->meeting->joined == ranks) shm_unlink(name.c_str());
  return kInProgress;
}

int ncclCommGetAsyncError(Communicator* comm, int* error) {
  *error = comm->meeting->lost != 0 ? kRemoteError : comm->meeting->joined < comm->ranks ? kInProgress : kSuccess;
  return kSuccess;
}
int ncclCommFinalize(Communicator*) { return kSuccess; }
int ncclCommDestroy(Communicator* comm) {
  munmap(comm->meeting, sizeof(Meeting));
  return delete comm, kSuccess;
}
// Sums that are still on a stream find it there.
int ncclCommAbort(Communicator* comm) { return comm->meeting->lost = 1, kSuccess; }

int ncclGroupStart() { return kInvalidUsage; }
int ncclGroupEnd() { return kInvalidUsage; }
int ncclBroadcast(const void*, void*, size_t, int, int, Communicator*, void*) { return kInvalidUsage; }

int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, Communicator* comm, void* stream) {
  if (type != kFloat32 || op != kSum || comm->meeting->joined < comm->ranks) return kInvalidUsage;
  if (sknet::fake::told_to("fail")) return kRemoteError;
  const auto work = [=] { add_up(*comm, static_cast<const float*>(from), static_cast<float*>(to), count); };
  return sknet::fake::submit(stream, work) ? kSuccess : kSystemError;
}

}  // extern "C"
