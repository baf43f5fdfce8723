#include "cuda/footprint.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/picture.h"
#include "cuda/launches.h"
#include "cuda/registry_cuda.h"
#include "cuda/simt/runtime.h"

namespace sknet::cuda {

namespace {

constexpr int kLaunches = 3;     // of training: one runs, one is ready, one is being written
constexpr int kEvaluations = 2;  // one runs or is ready, one is being written

// Of train, infer and block the smallest shard there can be.
int smallest(const plan::PlanSpec& spec) { return spec.mode == plan::Mode::kInfer ? 1 : 2; }

int64_t bytes_with(plan::PlanSpec spec, int shard_size) {
  spec.shard_size = shard_size;
  return Footprint(plan::Program(spec, cuda_op_table(spec.precision), 1)).total;
}

// The largest shard below the spec's that takes at most `free` bytes; 0: none.
int largest_fit(const plan::PlanSpec& spec, int64_t free) {
  int fits = smallest(spec) - 1, too_large = spec.shard_size;
  while (too_large - fits > 1) {
    const int middle = fits + (too_large - fits) / 2;
    (bytes_with(spec, middle) <= free ? fits : too_large) = middle;
  }
  return fits < smallest(spec) ? 0 : fits;
}

std::string mebibytes(int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

}  // namespace

Footprint::Footprint(const plan::Program& program) {
  const plan::PlanSpec& spec = program.spec;
  const plan::Graph& graph = program.graph;
  constexpr int64_t kFloat = sizeof(float);
  const int64_t output = graph.shape_of(graph.output()).size();
  const int64_t batch = int64_t{1} * spec.shard_size * spec.shards;
  const bool bytes = spec.image_bytes > 0;
  labels = whole_memory_lines(3 * batch * kFloat);
  pictures = bytes ? whole_memory_lines(kPictureTable * kFloat + batch * static_cast<int64_t>(sizeof(Picture))) : 0;
  images = whole_memory_lines(bytes ? batch * spec.image_bytes : graph.input.size() * spec.shards * kFloat);
  staging = spec.mode == plan::Mode::kTrain   ? 0
            : spec.mode == plan::Mode::kBlock ? whole_memory_lines(std::max(output, graph.input.size()) * kFloat)
                                              : whole_memory_lines(output * kFloat);
  per_launch = steps_per_launch(program, input());
  slots = spec.time_steps || spec.mode == plan::Mode::kBlock ? 1 : spec.mode == plan::Mode::kInfer ? kEvaluations : kLaunches * per_launch;
  // Of one shard a step has read all when its first kernel ends; the next batch has the rest of the step to arrive.
  places = per_launch > 1 ? slots : spec.shards == 1 ? 1 : 2;
  total = whole_memory_lines(program.bytes()) + kMemoryLine + staging + places * input();
}

void throw_does_not_fit(const plan::PlanSpec& spec, int64_t bytes) {
  (void)cudaGetLastError();
  size_t free = 0, all = 0;
  (void)cudaMemGetInfo(&free, &all);
  const int fit = largest_fit(spec, static_cast<int64_t>(free));
  const char* option = spec.shards == 1 ? "batchSize" : "shardSize";
  const std::string what = fit > 0 ? std::string("a ") + option + " of at most " + std::to_string(fit)
                                   : "a smaller network or input; not even the smallest batch fits";
  throw Error("ERR_SKNET_OOM", "the device's memory is too small: a batchSize of " + std::to_string(spec.shard_size * spec.shards) +
                                   " needs " + mebibytes(bytes) + ", " + mebibytes(static_cast<int64_t>(free)) + " of " +
                                   mebibytes(static_cast<int64_t>(all)) + " are free; use " + what)
      .with_option("batchSize")
      .with_got(std::to_string(spec.shard_size * spec.shards))
      .with_expected(what);
}

}  // namespace sknet::cuda
