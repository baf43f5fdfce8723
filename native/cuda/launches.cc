#include "cuda/launches.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace sknet::cuda {

namespace {

constexpr int kMostSteps = 16;
constexpr double kLaunchSeconds = 4e-3;         // worth of steps: far more than what can lie between two launches
constexpr int64_t kInputs = int64_t{64} << 20;  // bytes of batches for a launch
// A device that is neither the fastest nor the slowest: only the order of magnitude counts.
constexpr double kBytesPerSecond = 2e12, kFlopsPerSecond = 1e14, kSecondsPerOp = 3e-6;

double predicted_seconds(const plan::Program& program) {
  double seconds = 0;
  for (const plan::Step& step : program.steps) {
    const int times = step.info.phase == plan::Phase::kUpdate ? 1 : program.spec.shards;
    seconds += times * std::max({static_cast<double>(step.info.bytes) / kBytesPerSecond,
                                 static_cast<double>(step.info.flops) / kFlopsPerSecond, kSecondsPerOp});
  }
  return seconds;
}

}  // namespace

bool records_steps(const plan::PlanSpec& spec) {
  const char* text = std::getenv("SKNET_CUDA_GRAPHS");
  return !spec.time_steps && (text == nullptr || std::strcmp(text, "0") != 0);
}

int steps_per_launch(const plan::Program& program, int64_t input) {
  if (program.spec.mode != plan::Mode::kTrain || !records_steps(program.spec)) return 1;
  if (const char* text = std::getenv("SKNET_CUDA_STEPS_PER_LAUNCH"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    const int64_t steps = std::strtol(text, &end, 10);
    if (*end == '\0' && steps >= 1 && steps <= kMostSteps) return static_cast<int>(steps);
    throw Error("ERR_SKNET_OPTION",
                "SKNET_CUDA_STEPS_PER_LAUNCH: expected a number from 1 to " + std::to_string(kMostSteps) + ", got '" + text + "'")
        .with_option("SKNET_CUDA_STEPS_PER_LAUNCH")
        .with_got(text)
        .with_expected("a number from 1 to " + std::to_string(kMostSteps));
  }
  const double worth = std::min(kLaunchSeconds / predicted_seconds(program), static_cast<double>(kInputs) / static_cast<double>(input));
  return std::clamp(static_cast<int>(worth), 1, kMostSteps / 2);
}

}  // namespace sknet::cuda
