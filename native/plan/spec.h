// What a plan is built from, as it crosses the border: lib/model/spec.ts and binding.d.ts PlanOptions in C++.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/cpu_features.h"
#include "ops/layout.h"

namespace sknet::plan {

struct BranchSpec {
  int kernel, dilation, groups;
};

struct LayerSpec {
  std::string op, name;
  std::vector<std::string> inputs;
  int out = 0, kernel = 1, stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = false;
  float eps = 0, momentum = 0;
  std::vector<BranchSpec> branches;
  int attention_width = 0;   // 0: plain sum
  bool split_input = false;  // each branch reads its share of the input's channels
  bool ceil = false;         // max_pool: cut windows at the end count
  int first = 0;             // channel_slice
};

enum class Mode { kTrain, kInfer, kBlock };

struct OptimizerSpec {
  float momentum = 0;
  bool nesterov = false;
  std::vector<double> weight_decay;  // one a parameter
  std::vector<double> lr_scale;      // one a parameter, 0: frozen; empty: 1 everywhere
  double trust = 0;                  // LARS's coefficient; 0: plain SGD
  double grad_clip = 0;              // 0: off
  double ema_decay = 0;              // 0: none kept
};

// Which of several plans this is that train together, one a process or device: each step's results are summed over all of them.
struct RankSpec {
  int count = 1, rank = 0;
  std::string id;  // of all of them together, made by one for the others to know each other by; empty where count is 1
};

struct PlanSpec {
  std::vector<LayerSpec> layers;
  int height = 0, width = 0, channels = 0;
  Mode mode = Mode::kInfer;
  int shard_size = 1, shards = 1, threads = 1;
  // 0: batches are of floats. Else of bytes (core/picture.h), at most so many an image on the average.
  int64_t image_bytes = 0;
  Isa isa = Isa::kPortable;
  Precision precision = Precision::kFp32;
  std::map<std::string, std::string> candidates;
  bool fuse = true;
  bool time_steps = false;  // count the seconds of each step where that costs time (CUDA); the CPU always does
  float label_smoothing = 0;
  OptimizerSpec optimizer;
  RankSpec ranks;
};

}  // namespace sknet::plan
