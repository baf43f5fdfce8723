// Compares nccl.h with the real header, wherever one is found (test/vendor/abi.test.ts); no part of any build.
#include <nccl.h>

#include <cstddef>

#include "same_abi.h"
#include "vendor/nccl/nccl.h"

namespace {

using namespace sknet::vendor::nccl;  // NOLINT(google-build-using-namespace): all of it is compared

#define SAME_VALUE(own, theirs) static_assert(static_cast<int>(own) == static_cast<int>(theirs), #own)
#define SAME_CALL(own, theirs) static_assert(sknet::SameAbi<decltype(Api::own), decltype(&theirs)>::value, #own)

SAME_VALUE(kSuccess, ncclSuccess);
SAME_VALUE(kUnhandledCudaError, ncclUnhandledCudaError);
SAME_VALUE(kInvalidArgument, ncclInvalidArgument);
SAME_VALUE(kInvalidUsage, ncclInvalidUsage);
SAME_VALUE(kRemoteError, ncclRemoteError);
SAME_VALUE(kInProgress, ncclInProgress);
SAME_VALUE(kInt32, ncclInt32);
SAME_VALUE(kFloat32, ncclFloat32);
SAME_VALUE(kFloat64, ncclFloat64);
SAME_VALUE(kBfloat16, ncclBfloat16);
SAME_VALUE(kSum, ncclSum);
SAME_VALUE(kMax, ncclMax);
SAME_VALUE(kMin, ncclMin);
SAME_VALUE(kAvg, ncclAvg);

SAME_CALL(get_version, ncclGetVersion);
SAME_CALL(get_unique_id, ncclGetUniqueId);
SAME_CALL(comm_init_rank_config, ncclCommInitRankConfig);
SAME_CALL(comm_finalize, ncclCommFinalize);
SAME_CALL(comm_destroy, ncclCommDestroy);
SAME_CALL(comm_abort, ncclCommAbort);
SAME_CALL(comm_get_async_error, ncclCommGetAsyncError);
SAME_CALL(get_error_string, ncclGetErrorString);
SAME_CALL(get_last_error, ncclGetLastError);
SAME_CALL(group_start, ncclGroupStart);
SAME_CALL(group_end, ncclGroupEnd);
SAME_CALL(all_reduce, ncclAllReduce);
SAME_CALL(broadcast, ncclBroadcast);

static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId));
static_assert(offsetof(Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(Config, net_name) == offsetof(ncclConfig_t, netName));
static_assert(offsetof(Config, split_share) == offsetof(ncclConfig_t, splitShare));
static_assert(sizeof(Config) <= sizeof(ncclConfig_t));

}  // namespace
