#include "check.h"

#include <cmath>

#include "pictures.h"
#include "plans.h"

namespace sknet::driver {

namespace {

struct Results {
  std::vector<float> output, input_gradient, gradients, statistics, losses;
};

constexpr int kSteps = 4;

// Appends what the plan keeps of all tensors of one kind.
void read_all(plan::Plan& plan, plan::Section section, bool buffers, std::vector<float>& to) {
  for (const plan::Tensor& t : plan.graph().tensors) {
    if (t.buffer != buffers) continue;
    std::vector<float> values(static_cast<size_t>(t.size()));
    if (plan.read(section, t, values.data())) to.insert(to.end(), values.begin(), values.end());
  }
}

Results run(const Network& network, Precision precision, const std::string& device) {
  plan::PlanSpec spec = network.spec;
  spec.precision = precision;
  Results r;
  const std::vector<float> x = numbers(static_cast<int64_t>(spec.shard_size) * spec.height * spec.width * spec.channels, 1.7f, 2);
  {
    spec.mode = plan::Mode::kBlock;
    const auto plan = open_plan(device, spec);
    fill_tensors(*plan);
    r.output.resize(static_cast<size_t>(plan->output_shape().size()));
    r.input_gradient.resize(x.size());
    plan->block_forward(x.data(), r.output.data());
    const std::vector<float> dy = numbers(plan->output_shape().size(), 1, 3);
    plan->block_backward(dy.data(), r.input_gradient.data());
    read_all(*plan, plan::Section::kGradient, false, r.gradients);
    read_all(*plan, plan::Section::kValue, true, r.statistics);
  }
  spec.mode = plan::Mode::kTrain;
  spec.shards = 2;
  spec.optimizer = {.momentum = 0.9f, .nesterov = true, .weight_decay = {}, .grad_clip = 0, .ema_decay = 0};
  for (const plan::Tensor& t : plan::build_graph(spec).tensors) {
    if (!t.buffer) spec.optimizer.weight_decay.push_back(t.shape.size() > 1 ? 1e-4 : 0);
  }
  const auto plan = open_plan(device, spec);
  if (plan->output_shape().h * plan->output_shape().w != 1) return r;  // no classes
  fill_tensors(*plan);
  const std::vector<float> images = numbers(static_cast<int64_t>(x.size()) * 2, 1.7f, 4);
  const std::vector<int32_t> labels = classes(plan->batch(), plan->output_shape().c);
  for (int step = 0; step < kSteps; ++step) {
    plan->submit(images.data(), {labels.data()}, 0.02f);
    r.losses.push_back(static_cast<float>(plan->collect().totals.loss));
  }
  return r;
}

// Losses and weights after two steps on bytes, or on the floats that come of them.
std::vector<float> train_on(bool bytes, plan::PlanSpec spec, const std::string& device) {
  spec.mode = plan::Mode::kTrain;
  spec.shards = 4;
  spec.optimizer = {.momentum = 0.9f};
  for (const plan::Tensor& t : plan::build_graph(spec).tensors) {
    if (!t.buffer) spec.optimizer.weight_decay.push_back(0);
  }
  const MadePictures pictures(spec.shard_size * spec.shards, spec.height, spec.width, false);
  if (bytes) spec.image_bytes = picture_bytes(pictures.batch().size / (spec.shard_size * spec.shards) + 1);
  const auto plan = open_plan(device, spec);
  fill_tensors(*plan);
  const std::vector<float> floats = pictures.floats();
  const std::vector<int32_t> labels = classes(plan->batch(), plan->output_shape().c);
  std::vector<float> result;
  for (int step = 0; step < 2; ++step) {
    if (bytes) {
      plan->submit(pictures.batch(), {labels.data()}, 0.02f);
    } else {
      plan->submit(floats.data(), {labels.data()}, 0.02f);
    }
    result.push_back(static_cast<float>(plan->collect().totals.loss));
  }
  read_all(*plan, plan::Section::kValue, false, result);
  return result;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double difference = 0, size = 0;
  if (got.size() != expected.size()) return INFINITY;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - expected[i];
    difference += d * d;
    size += static_cast<double>(expected[i]) * expected[i];
  }
  const double error = std::sqrt(difference / std::fmax(size, 1e-30));
  return std::isfinite(error) ? error : INFINITY;
}

}  // namespace

std::vector<Comparison> compare(const Network& network, Precision precision, const std::string& device, const std::string& reference,
                                bool strict) {
  const bool bf16 = precision == Precision::kBf16, whole = network.spec.layers.back().op == "linear";
  // Deep networks of small planes magnify a rounding: in bfloat16 to anything, and over steps of training in float32 too.
  if (!strict && whole && bf16) return {};
  const Results got = run(network, precision, device);
  const Results expected = run(network, strict ? precision : Precision::kFp32, reference);
  const double forward = strict ? (bf16 ? 4e-3 : 1e-5) : whole ? 1e-3 : (bf16 ? 2e-2 : 1e-5);
  const double backward = strict ? (bf16 ? 1e-2 : 1e-4) : whole ? 5e-2 : (bf16 ? 0.2 : 5e-3);
  std::vector<Comparison> list;
  const auto add = [&](const char* what, const std::vector<float>& a, const std::vector<float>& b, double limit) {
    if (!a.empty() || !b.empty()) list.push_back({network.name, what, precision, relative_error(a, b), limit});
  };
  add("output", got.output, expected.output, forward);
  add("input gradient", got.input_gradient, expected.input_gradient, backward);
  add("gradients", got.gradients, expected.gradients, backward);
  add("statistics", got.statistics, expected.statistics, forward);
  const plan::Shape& y = plan::build_graph(network.spec).shape_of(plan::build_graph(network.spec).output());
  if (device != "cpu" && network.spec.channels == 3 && y.h * y.w == 1) {
    plan::PlanSpec spec = network.spec;
    spec.precision = precision;
    add("bytes", train_on(true, spec, device), train_on(false, spec, device), 0);
  }
  if (strict) {
    add("losses", got.losses, expected.losses, backward);
  } else if (!got.losses.empty()) {
    add("first loss", {got.losses[0]}, {expected.losses[0]}, forward);
  }
  return list;
}

}  // namespace sknet::driver
