// Many steps in one call: what the binding runs on a native thread while JavaScript goes on.
#pragma once

#include <atomic>
#include <vector>

#include "core/batch.h"
#include "plan/plan.h"

namespace sknet::plan {

struct NonFinite {
  double loss = 0, gradient_norm = 0;
  std::vector<int32_t> indices;  // of the batch's samples; empty where the caller brought the batch
};

struct TrainChunk {
  std::vector<double> loss, gradient_norm, seconds, wait_seconds;
  std::vector<int32_t> correct;
  std::vector<BadSample> bad;
  int64_t resized_on_host = 0;  // pictures of the batches taken, see Batch
  bool end_of_epoch = false;
  bool non_finite = false;
  NonFinite cause;
  int voided = 0;  // batches taken behind the cause's, whose steps changed nothing either
};

// Up to lrs.size() steps; fewer when `budget_seconds` is over, the source ends, `cancel` is set or a number is not finite.
TrainChunk train_steps(Plan& plan, BatchSource& source, const std::vector<double>& lrs, double budget_seconds,
                       const std::atomic<bool>& cancel);

// One step on the caller's batch.
TrainChunk train_batch(Plan& plan, const float* images, const Targets& targets, double lr);

struct EvalTotals {
  Totals totals;
  int64_t images = 0;
  std::vector<BadSample> bad;
};

// Everything the source still delivers.
EvalTotals evaluate(Plan& plan, BatchSource& source, const std::atomic<bool>& cancel);

}  // namespace sknet::plan
