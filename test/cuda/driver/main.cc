// The plugin without Node, for machines that have a GPU and little else:
//   sknet-driver check NETWORKS --device cuda [--reference cuda-emulated|cpu] [--only PART_OF_A_NAME]
//   sknet-driver bench NETWORKS --device cuda --network NAME [--batch N] [--precision fp32|bf16] [--steps N] [--mode train|infer]
//                 [--time-steps yes] [--images bytes|floats]
// Prints one JSON object a line, the result last. Exit code 0 where everything held, 1 where a comparison did not, 2 for bad arguments.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "bench.h"
#include "check.h"
#include "core/error.h"

namespace sknet::driver {

namespace {

using Flags = std::map<std::string, std::string>;

const char* precision_name(Precision precision) { return precision == Precision::kBf16 ? "bf16" : "fp32"; }

std::string flag(const Flags& flags, const char* name, const char* fallback) {
  const auto found = flags.find(name);
  return found == flags.end() ? fallback : found->second;
}

int run_check(const std::vector<Network>& networks, const Flags& flags) {
  const std::string device = flag(flags, "device", "cuda"), reference = flag(flags, "reference", "cuda-emulated");
  int failed = 0, count = 0;
  const std::string only = flag(flags, "only", "");
  for (const Network& network : networks) {
    if (network.name.find(only) == std::string::npos) continue;
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      for (const Comparison& c : compare(network, precision, device, reference, reference != "cpu")) {
        const bool held = c.error <= c.limit;
        ++count;
        if (!held) ++failed;
        std::printf("{\"type\":\"comparison\",\"network\":\"%s\",\"what\":\"%s\",\"precision\":\"%s\",\"error\":%.3g,\"limit\":%.3g,\"held\":%s}\n",
                    c.network.c_str(), c.what.c_str(), precision_name(c.precision), std::isfinite(c.error) ? c.error : 1e30, c.limit,
                    held ? "true" : "false");
        std::fflush(stdout);
      }
    }
  }
  std::printf("{\"type\":\"result\",\"device\":\"%s\",\"reference\":\"%s\",\"comparisons\":%d,\"failed\":%d}\n", device.c_str(),
              reference.c_str(), count, failed);
  return failed == 0 ? 0 : 1;
}

// "candidate": microseconds, of those that were timed.
std::string tried(const plan::StepInfo& step) {
  std::string text;
  for (const plan::Trial& trial : step.trials) {
    text += (text.empty() ? "\"" : ",\"") + trial.candidate + "\":" + std::to_string(1e6 * trial.seconds);
  }
  return text;
}

int run_bench(const std::vector<Network>& networks, const Flags& flags) {
  const std::string wanted = flag(flags, "network", networks.front().name.c_str());
  BenchOptions options{.device = flag(flags, "device", "cuda")};
  options.precision = flag(flags, "precision", "bf16") == "bf16" ? Precision::kBf16 : Precision::kFp32;
  options.batch = std::stoi(flag(flags, "batch", "256"));
  options.steps = std::stoi(flag(flags, "steps", "50"));
  options.warmup = std::stoi(flag(flags, "warmup", "10"));
  options.time_steps = flag(flags, "time-steps", "no") == "yes";
  options.bytes = flag(flags, "images", "bytes") == "bytes";
  options.train = flag(flags, "mode", "train") == "train";
  for (const Network& network : networks) {
    if (network.name != wanted) continue;
    const BenchResult r = bench(network, options);
    for (const plan::StepInfo& step : r.plan) {
      std::printf("{\"type\":\"step\",\"op\":\"%s\",\"layer\":\"%s\",\"phase\":%d,\"candidate\":\"%s\",\"microseconds\":%.1f,\"mflop\":%.1f,\"mbytes\":%.2f,\"tried\":{%s}}\n",
                  step.op.c_str(), step.layer.c_str(), static_cast<int>(step.phase), step.candidate.c_str(), 1e6 * step.seconds,
                  1e-6 * static_cast<double>(step.flops), 1e-6 * static_cast<double>(step.bytes),
                  tried(step).c_str());
    }
    std::printf(
        "{\"type\":\"result\",\"network\":\"%s\",\"device\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"mode\":\"%s\",\"imagesPerSecond\":%.2f,"
        "\"secondsMedian\":%.6f,\"memoryBytes\":%lld,\"flopsPerSecond\":%.4g,\"loss\":%.5f}\n",
        network.name.c_str(), options.device.c_str(), precision_name(options.precision), options.batch, options.train ? "train" : "infer",
        r.images_per_second, r.seconds_median, static_cast<long long>(r.memory_bytes), static_cast<double>(r.flops) / r.seconds_median, r.loss);
    return 0;
  }
  throw Error("ERR_SKNET_OPTION", "no network " + wanted + " in the file");
}

int run(int argc, char** argv) {
  if (argc < 3) throw Error("ERR_SKNET_OPTION", "usage: sknet-driver check|bench NETWORKS [--flag value]...");
  Flags flags;
  for (int i = 3; i < argc; i += 2) {
    check(std::strncmp(argv[i], "--", 2) == 0 && i + 1 < argc, "ERR_SKNET_OPTION", std::string("no flag with a value: ") + argv[i]);
    flags[argv[i] + 2] = argv[i + 1];
  }
  const std::vector<Network> networks = read_networks(argv[2]);
  check(!networks.empty(), "ERR_SKNET_OPTION", std::string(argv[2]) + " holds no network");
  return std::string(argv[1]) == "check" ? run_check(networks, flags) : run_bench(networks, flags);
}

}  // namespace

}  // namespace sknet::driver

int main(int argc, char** argv) {
  try {
    return sknet::driver::run(argc, argv);
  } catch (const sknet::Error& e) {
    std::fprintf(stderr, "%s: %s\n", e.code.c_str(), e.what());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
  return 2;
}
