// The border between the addon and a device's plugin (a shared library beside it): plain data and functions, at the level of a plan, so
// that the two may be built by different compilers. A plugin exports one name, kEntry. Change kApiVersion with anything in this file
// or in core/picture.h.
#pragma once

#include <cstdint>

#include "core/picture.h"

namespace sknet::plugin {

constexpr uint32_t kApiVersion = 4;
constexpr const char* kEntry = "sknet_plugin_entry";
constexpr int kRankIdBytes = 128;

// What went wrong: core/error.h, cut to size.
struct Failure {
  char code[64], option[128], path[512], tensor[256], got[512], expected[512], message[2048];
};

struct BranchData {
  int32_t kernel, dilation, groups;
};

// plan/spec.h, and the pointers are the caller's.
struct LayerData {
  const char* op;
  const char* name;
  const char* const* inputs;
  const BranchData* branches;
  int32_t input_count, branch_count;
  int32_t out, kernel, stride, padding, dilation, groups, bias, attention_width, split_input, ceil, first;
  float eps, momentum;
};

struct CandidateData {
  const char* op;
  const char* name;
};

struct SpecData {
  const LayerData* layers;
  const CandidateData* candidates;
  const double* weight_decay;
  const double* lr_scale;
  const char* rank_id;  // [kRankIdBytes]; null for one rank
  int32_t layer_count, candidate_count, weight_decay_count, lr_scale_count;
  int32_t height, width, channels, mode, shard_size, shards, precision, fuse, time_steps, nesterov, ranks, rank;
  float label_smoothing, momentum;
  int64_t image_bytes;
  double grad_clip, ema_decay, trust;
};

struct DeviceData {
  char name[256];
  char unusable[512];  // why plans cannot run on it; empty: they can
  int32_t major, minor, processors;
  int64_t total_bytes;
};

constexpr int kMaxDevices = 64;

struct DevicesData {
  char unusable[1024];                      // why there are none; empty: there are some
  int32_t driver_version, runtime_version;  // 13000: CUDA 13.0; 0: no driver
  int32_t count;
  DeviceData devices[kMaxDevices];
};

struct MemoryData {
  int64_t parameters, gradients, optimizer, ema, activations, workspace, total;
};

struct StepData {
  const char *op, *layer, *candidate;
  const char* const* refused;   // candidate, reason, candidate, reason, ...
  const char* const* tried;     // candidates that were timed
  const double* tried_seconds;  // each one's
  const char* note;
  int32_t refused_count, tried_count;
  int32_t phase;
  int64_t flops, bytes;
  double seconds;
};

struct OutcomeData {
  double loss, gradient_norm;
  int64_t top1, top5;
  int32_t finite, together;
};

// A vendor's library that the plugin can make use of; `reason` is empty where it can.
struct LibraryData {
  const char *name, *path, *version, *reason;
};

struct PlanHandle;

// Functions that return an int return 0, or 1 with the failure filled in. One caller at a time a plan.
struct Api {
  uint32_t version;   // kApiVersion
  const char* build;  // the package's version: addon and plugin come from one build

  void (*devices)(DevicesData* to);
  void (*libraries)(void (*visit)(void* context, const LibraryData* library), void* context);
  // A new id for ranks that will train together: to be made once and given to all of their plans. id: [kRankIdBytes].
  int (*make_rank_id)(char* id, Failure* failure);
  // What a plan would take.
  int (*plan_memory)(const SpecData* spec, int32_t device, MemoryData* to, Failure* failure);
  int (*build_plan)(const SpecData* spec, int32_t device, PlanHandle** plan, Failure* failure);
  void (*free_plan)(PlanHandle* plan);
  void (*memory)(PlanHandle* plan, MemoryData* to);
  void (*steps)(PlanHandle* plan, void (*visit)(void* context, const StepData* step), void* context);
  int32_t (*depth)(PlanHandle* plan);
  // `tensor`: its index in the graph's list. `kept`: whether the plan has that section of it.
  int (*read)(PlanHandle* plan, int32_t section, int32_t tensor, float* data, int32_t* kept, Failure* failure);
  int (*write)(PlanHandle* plan, int32_t section, int32_t tensor, const float* data, int32_t* kept, Failure* failure);
  // labels2, mix: null where no images are mixed.
  int (*submit)(PlanHandle* plan, const float* images, const int32_t* labels, const int32_t* labels2, const float* mix, float lr,
                Failure* failure);
  int (*submit_pictures)(PlanHandle* plan, const Pictures* pictures, const int32_t* labels, const int32_t* labels2, const float* mix,
                         float lr, Failure* failure);
  int (*collect)(PlanHandle* plan, OutcomeData* outcome, Failure* failure);
  int (*submit_evaluation)(PlanHandle* plan, const float* images, const int32_t* labels, int32_t count, Failure* failure);
  int (*submit_evaluation_pictures)(PlanHandle* plan, const Pictures* pictures, const int32_t* labels, int32_t count, Failure* failure);
  int (*collect_evaluation)(PlanHandle* plan, OutcomeData* totals, Failure* failure);
  int (*infer)(PlanHandle* plan, const float* images, int32_t count, float* out, Failure* failure);
  int (*block_forward)(PlanHandle* plan, const float* x, float* y, Failure* failure);
  int (*block_backward)(PlanHandle* plan, const float* dy, float* dx, Failure* failure);
};

// What kEntry is: null where the plugin does not speak `version`.
using Entry = const Api* (*)(uint32_t version);

}  // namespace sknet::plugin
