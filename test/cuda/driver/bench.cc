#include "bench.h"

#include <algorithm>

#include "pictures.h"
#include "plan/step_clock.h"
#include "plans.h"

namespace sknet::driver {

BenchResult bench(const Network& network, const BenchOptions& options) {
  plan::PlanSpec spec = network.spec;
  spec.shard_size = options.batch;
  spec.precision = options.precision;
  spec.time_steps = options.time_steps;
  spec.mode = options.train ? plan::Mode::kTrain : plan::Mode::kInfer;
  const bool bytes = options.train && options.bytes && options.device != "cpu" && spec.channels == 3;
  if (bytes) spec.image_bytes = picture_bytes(int64_t{3} * spec.height * spec.width);
  if (options.train) {
    spec.optimizer.momentum = 0.9f;
    for (const plan::Tensor& t : plan::build_graph(spec).tensors) {
      if (!t.buffer) spec.optimizer.weight_decay.push_back(t.shape.size() > 1 ? 1e-4 : 0);
    }
  }
  const auto plan = open_plan(options.device, spec);
  fill_tensors(*plan);
  const MadePictures pictures(bytes ? options.batch : 0, spec.height, spec.width, true);
  const std::vector<float> images = numbers(bytes ? 0 : plan->graph().input.size(), 1.7f, 5);
  const std::vector<int32_t> labels = classes(plan->batch(), plan->output_shape().c);
  std::vector<float> logits(static_cast<size_t>(plan->output_shape().size()));

  BenchResult result{.memory_bytes = plan->memory().total};
  for (const plan::StepInfo& step : plan->steps()) result.flops += step.flops;
  std::vector<double> seconds;
  int under_way = 0, together = 1;
  plan::StepClock clock;
  for (int done = 0; done < options.warmup + options.steps;) {
    if (options.train) {
      // As training does: the next batch is on its way while one runs.
      while (under_way < plan->depth()) {
        if (bytes) {
          plan->submit(pictures.batch(), {labels.data()}, 1e-3f);
        } else {
          plan->submit(images.data(), {labels.data()}, 1e-3f);
        }
        ++under_way;
      }
      const plan::StepOutcome outcome = plan->collect();
      result.loss = outcome.totals.loss;
      together = outcome.together;
      --under_way;
    } else {
      plan->infer(images.data(), options.batch, logits.data());
    }
    const double took = clock.step_ended(together);
    if (++done > options.warmup) seconds.push_back(took);
  }
  for (; under_way > 0; --under_way) plan->collect();
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<int64_t>(seconds.size() / 2), seconds.end());
  if (options.time_steps) {
    result.plan = plan->steps();
    for (plan::StepInfo& step : result.plan) step.seconds /= options.warmup + options.steps;
  }
  result.seconds_median = seconds[seconds.size() / 2];
  result.images_per_second = options.batch / result.seconds_median;
  return result;
}

}  // namespace sknet::driver
