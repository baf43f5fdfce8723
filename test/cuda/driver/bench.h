// Training or inference of one network at one batch size: images a second, and where a step's time goes.
#pragma once

#include <string>
#include <vector>

#include "network.h"
#include "plan/step.h"

namespace sknet::driver {

struct BenchOptions {
  std::string device;
  Precision precision = Precision::kFp32;
  int batch = 256;
  int warmup = 10;
  int steps = 50;
  bool train = true;
  bool time_steps = false;
  bool bytes = true;  // what training is fed with, else floats
};

struct BenchResult {
  double seconds_median = 0;  // of a step
  double images_per_second = 0;
  int64_t memory_bytes = 0;
  int64_t flops = 0;  // of a step
  double loss = 0;    // of the last step
  std::vector<plan::StepInfo> plan;  // with time_steps; seconds: of one step
};

BenchResult bench(const Network& network, const BenchOptions& options);

}  // namespace sknet::driver
