// The part of NCCL's interface that data parallelism needs, declared here so that nothing of NCCL is needed to build. Names without their
// prefix; values and layouts as in nccl.h 2.18 and later (test/vendor compares them where the real header is found).
#pragma once

#include <climits>
#include <cstddef>

#include "core/library.h"

namespace sknet::vendor::nccl {

using Comm = struct CommOpaque*;
using Result = int;
using DataType = int;
using RedOp = int;
using Stream = void*;  // cudaStream_t

// A value beyond those known here is an error like the others.
constexpr Result kSuccess = 0, kUnhandledCudaError = 1, kInvalidArgument = 4, kInvalidUsage = 5, kRemoteError = 6, kInProgress = 7;
constexpr DataType kInt32 = 2, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9;
constexpr RedOp kSum = 0, kMax = 2, kMin = 3, kAvg = 4;

struct UniqueId {
  char internal[128];
};

// The prefix of ncclConfig_t as of 2.18: the library reads `size` bytes and gives what is beyond its defaults.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef;
  unsigned version = 21800;
  int blocking = INT_MIN;
  int cga_cluster_size = INT_MIN;
  int min_ctas = INT_MIN;
  int max_ctas = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
};

struct Api {
  Result (*get_version)(int* version);
  Result (*get_unique_id)(UniqueId* id);
  Result (*comm_init_rank_config)(Comm* comm, int ranks, UniqueId id, int rank, Config* config);
  Result (*comm_finalize)(Comm comm);
  Result (*comm_destroy)(Comm comm);
  Result (*comm_abort)(Comm comm);
  Result (*comm_get_async_error)(Comm comm, Result* error);
  const char* (*get_error_string)(Result result);
  const char* (*get_last_error)(Comm comm);
  Result (*group_start)();
  Result (*group_end)();
  Result (*all_reduce)(const void* send, void* receive, size_t count, DataType type, RedOp op, Comm comm, Stream stream);
  Result (*broadcast)(const void* send, void* receive, size_t count, DataType type, int root, Comm comm, Stream stream);
};

// Opened at the first call; null where NCCL cannot be used, and report() says why.
const Api* api();
LibraryReport report();

}  // namespace sknet::vendor::nccl
