#include "plan/run.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"

namespace sknet::plan {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Gives the slot back however the step ends.
class Acquired {
 public:
  explicit Acquired(BatchSource& source) : source_(source), batch_(source.acquire()) {}
  ~Acquired() {
    if (batch_ != nullptr) source_.release();
  }
  Acquired(const Acquired&) = delete;
  Acquired& operator=(const Acquired&) = delete;
  const Batch* get() const { return batch_; }

 private:
  BatchSource& source_;
  const Batch* batch_;
};

void check_size(const Plan& plan, const BatchSource& source) {
  const Shape& input = plan.graph().input;
  check(source.height() == input.h && source.width() == input.w && input.c == 3, "ERR_SKNET_OPTION",
        "the loader delivers " + std::to_string(source.height()) + " x " + std::to_string(source.width()) + " x 3 images, the plan reads " +
            std::to_string(input.h) + " x " + std::to_string(input.w) + " x " + std::to_string(input.c));
}

void take(TrainChunk& chunk, const Plan::TrainOutcome& outcome, double seconds, double wait) {
  chunk.loss.push_back(outcome.totals.loss);
  chunk.correct.push_back(static_cast<int32_t>(outcome.totals.top1));
  chunk.gradient_norm.push_back(outcome.gradient_norm);
  chunk.seconds.push_back(seconds);
  chunk.wait_seconds.push_back(wait);
}

}  // namespace

TrainChunk train_steps(Plan& plan, BatchSource& source, const std::vector<double>& lrs, double budget_seconds,
                       const std::atomic<bool>& cancel) {
  check_size(plan, source);
  TrainChunk chunk;
  const Clock::time_point start = Clock::now();
  for (const double lr : lrs) {
    if (cancel.load() || (!chunk.loss.empty() && seconds_since(start) >= budget_seconds)) break;
    const Clock::time_point step_start = Clock::now();
    const Acquired batch(source);
    const double wait = seconds_since(step_start);
    if (batch.get() == nullptr) break;
    check(batch.get()->count == plan.batch(), "ERR_SKNET_NATIVE", "the loader's batch and the plan's differ in size");
    chunk.bad.insert(chunk.bad.end(), batch.get()->bad.begin(), batch.get()->bad.end());
    const Plan::TrainOutcome outcome = plan.train(batch.get()->images, batch.get()->labels, static_cast<float>(lr));
    if (!outcome.finite) {
      chunk.non_finite = true;
      chunk.cause = {outcome.totals.loss, outcome.gradient_norm, {batch.get()->indices, batch.get()->indices + batch.get()->count}};
      break;
    }
    take(chunk, outcome, seconds_since(step_start), wait);
  }
  chunk.end_of_epoch = source.remaining() == 0;
  return chunk;
}

TrainChunk train_batch(Plan& plan, const float* images, const int32_t* labels, double lr) {
  TrainChunk chunk;
  const Clock::time_point start = Clock::now();
  const Plan::TrainOutcome outcome = plan.train(images, labels, static_cast<float>(lr));
  if (outcome.finite) {
    take(chunk, outcome, seconds_since(start), 0);
  } else {
    chunk.non_finite = true;
    chunk.cause = {outcome.totals.loss, outcome.gradient_norm, {}};
  }
  return chunk;
}

EvalTotals evaluate(Plan& plan, BatchSource& source, const std::atomic<bool>& cancel) {
  check_size(plan, source);
  EvalTotals result;
  const int64_t image = plan.graph().input.size() / plan.graph().input.n;
  while (!cancel.load()) {
    const Acquired batch(source);
    if (batch.get() == nullptr) break;
    const Batch& b = *batch.get();
    result.bad.insert(result.bad.end(), b.bad.begin(), b.bad.end());
    for (int first = 0; first < b.count; first += plan.spec().shard_size) {
      const int count = std::min(plan.spec().shard_size, b.count - first);
      const Totals totals = plan.evaluate(b.images + first * image, b.labels + first, count);
      result.totals.loss += totals.loss;
      result.totals.top1 += totals.top1;
      result.totals.top5 += totals.top5;
      result.images += std::count_if(b.labels + first, b.labels + first + count, [](int32_t label) { return label >= 0; });
    }
  }
  return result;
}

}  // namespace sknet::plan
