#include "plan/run.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "core/error.h"
#include "plan/step_clock.h"

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

// The steps of one call: submitted in order, collected in order.
class Steps {
 public:
  explicit Steps(Plan& plan) : plan_(plan) {}
  // The device is done with every step, also where the call ends by an exception.
  ~Steps() {
    for (; !under_way_.empty(); under_way_.pop_front()) {
      try {
        (void)plan_.collect();
      } catch (const std::exception&) {
        // The plan says so again when it is next used.
      }
    }
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  int under_way() const { return static_cast<int>(under_way_.size()); }

  void submit(const Batch& b, double lr, double wait) {
    const Targets targets{b.labels, b.labels2, b.mix};
    if (b.images != nullptr) {
      plan_.submit(b.images, targets, static_cast<float>(lr));
    } else {
      plan_.submit(b.pictures, targets, static_cast<float>(lr));
    }
    chunk.resized_on_host += b.resized_on_host;
    under_way_.push_back(
        {wait, b.indices == nullptr ? std::vector<int32_t>() : std::vector<int32_t>(b.indices, b.indices + b.count), b.bad});
  }

  // Waits for the oldest step; false where it was not finite.
  bool collect() {
    const StepOutcome outcome = plan_.collect();
    const UnderWay step = std::move(under_way_.front());
    under_way_.pop_front();
    const double seconds = clock_.step_ended(outcome.together);
    chunk.bad.insert(chunk.bad.end(), step.bad.begin(), step.bad.end());
    if (!outcome.finite) {
      chunk.non_finite = true;
      chunk.cause = {outcome.totals.loss, outcome.gradient_norm, step.indices};
      chunk.voided = under_way();
      return false;
    }
    chunk.loss.push_back(outcome.totals.loss);
    chunk.correct.push_back(static_cast<int32_t>(outcome.totals.top1));
    chunk.gradient_norm.push_back(outcome.gradient_norm);
    chunk.seconds.push_back(seconds);
    chunk.wait_seconds.push_back(step.wait);
    return true;
  }

  TrainChunk chunk;

 private:
  struct UnderWay {
    double wait;
    std::vector<int32_t> indices;
    std::vector<BadSample> bad;
  };
  Plan& plan_;
  std::deque<UnderWay> under_way_;
  StepClock clock_;
};

// The evaluations of one call: submitted in order, collected in order.
class Judgement {
 public:
  explicit Judgement(Plan& plan) : plan_(plan) {}
  // As ~Steps().
  ~Judgement() {
    try {
      collect_all();
    } catch (const std::exception&) {
    }
  }
  Judgement(const Judgement&) = delete;
  Judgement& operator=(const Judgement&) = delete;

  // So that one more may be submitted.
  void make_room() {
    if (under_way_ == plan_.depth()) collect();
  }
  void submitted(const int32_t* labels, int count) {
    ++under_way_;
    result.images += std::count_if(labels, labels + count, [](int32_t label) { return label >= 0; });
  }
  void collect_all() {
    while (under_way_ > 0) collect();
  }

  EvalTotals result;

 private:
  void collect() {
    --under_way_;
    const Totals totals = plan_.collect_evaluation();
    result.totals.loss += totals.loss;
    result.totals.top1 += totals.top1;
    result.totals.top5 += totals.top5;
  }

  Plan& plan_;
  int under_way_ = 0;
};

}  // namespace

TrainChunk train_steps(Plan& plan, BatchSource& source, const std::vector<double>& lrs, double budget_seconds,
                       const std::atomic<bool>& cancel) {
  check_size(plan, source);
  const Clock::time_point start = Clock::now();
  Steps steps(plan);
  // One batch into the plan; false where no more shall or can go in.
  size_t next = 0;
  const auto feed = [&] {
    if (next == lrs.size() || cancel.load() || (next > 0 && seconds_since(start) >= budget_seconds)) return false;
    const Clock::time_point asked = Clock::now();
    const Acquired batch(source);
    if (batch.get() == nullptr) return false;
    const Batch& b = *batch.get();
    check(b.count == plan.batch(), "ERR_SKNET_NATIVE", "the loader's batch and the plan's differ in size");
    steps.submit(b, lrs[next++], seconds_since(asked));
    return true;
  };
  for (bool more = true; more || steps.under_way() > 0;) {
    while (more && steps.under_way() < plan.depth()) more = feed();
    if (steps.under_way() > 0 && !steps.collect()) break;
  }
  steps.chunk.end_of_epoch = source.remaining() == 0;
  return std::move(steps.chunk);
}

TrainChunk train_batch(Plan& plan, const float* images, const Targets& targets, double lr) {
  Steps steps(plan);
  steps.submit({.images = images, .labels = targets.labels, .labels2 = targets.labels2, .mix = targets.mix}, lr, 0);
  steps.collect();
  return std::move(steps.chunk);
}

EvalTotals evaluate(Plan& plan, BatchSource& source, const std::atomic<bool>& cancel) {
  check_size(plan, source);
  Judgement judgement(plan);
  const int64_t image = plan.graph().input.size() / plan.graph().input.n;
  while (!cancel.load()) {
    const Acquired batch(source);
    if (batch.get() == nullptr) break;
    const Batch& b = *batch.get();
    // The pieces of one batch share its bytes.
    check(b.images != nullptr || b.count <= plan.spec().shard_size, "ERR_SKNET_NATIVE",
          "a batch of bytes is evaluated whole: the plan's must be as large");
    judgement.result.bad.insert(judgement.result.bad.end(), b.bad.begin(), b.bad.end());
    for (int first = 0; first < b.count; first += plan.spec().shard_size) {
      const int count = std::min(plan.spec().shard_size, b.count - first);
      judgement.make_room();
      if (b.images != nullptr) {
        plan.submit_evaluation(b.images + first * image, b.labels + first, count);
      } else {
        plan.submit_evaluation(b.pictures, b.labels, b.count);
      }
      judgement.submitted(b.labels + first, count);
    }
  }
  judgement.collect_all();
  return std::move(judgement.result);
}

}  // namespace sknet::plan
