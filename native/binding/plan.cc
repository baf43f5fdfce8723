#include "binding/plan.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/convert.h"
#include "binding/error.h"
#include "binding/loader.h"
#include "binding/open_plan.h"
#include "core/error.h"
#include "plan/run.h"

namespace sknet::binding {

namespace {

const char* phase_name(plan::Phase phase) {
  switch (phase) {
    case plan::Phase::kBackward:
      return "backward";
    case plan::Phase::kUpdate:
      return "update";
    case plan::Phase::kForward:
    case plan::Phase::kLoss:
      break;
  }
  return "forward";
}

plan::Section section_of(const std::string& name) {
  if (name == "value") return plan::Section::kValue;
  if (name == "gradient") return plan::Section::kGradient;
  if (name == "momentum") return plan::Section::kMomentum;
  if (name == "ema") return plan::Section::kEma;
  throw Error("ERR_SKNET_NATIVE", "section: expected value, gradient, momentum or ema, got " + name);
}

Napi::Array shape_to_js(Napi::Env env, const std::vector<int>& shape) {
  Napi::Array out = Napi::Array::New(env, shape.size());
  for (size_t i = 0; i < shape.size(); ++i) out.Set(static_cast<uint32_t>(i), shape[i]);
  return out;
}

void expect_size(size_t got, int64_t expected, const std::string& what) {
  if (static_cast<int64_t>(got) == expected) return;
  throw Error("ERR_SKNET_OPTION", what + ": expected " + std::to_string(expected) + " numbers, got " + std::to_string(got))
      .with_option(what)
      .with_got(std::to_string(got))
      .with_expected(std::to_string(expected));
}

void expect_kept(bool kept, const Napi::CallbackInfo& info, const plan::Tensor& tensor, const char* method) {
  if (kept) return;
  throw Error("ERR_SKNET_NATIVE",
              std::string("Plan.") + method + ": this plan keeps no " + string_argument(info, 0, "section") + " of " + tensor.name)
      .with_tensor(tensor.name);
}

Napi::Value chunk_to_js(Napi::Env env, plan::TrainChunk& chunk) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("steps", static_cast<double>(chunk.loss.size()));
  out.Set("loss", to_float64_array(env, std::move(chunk.loss)));
  out.Set("correct", to_int32_array(env, std::move(chunk.correct)));
  out.Set("gradNorm", to_float64_array(env, std::move(chunk.gradient_norm)));
  out.Set("seconds", to_float64_array(env, std::move(chunk.seconds)));
  out.Set("waitSeconds", to_float64_array(env, std::move(chunk.wait_seconds)));
  out.Set("bad", bad_samples_to_js(env, chunk.bad));
  out.Set("endOfEpoch", chunk.end_of_epoch);
  out.Set("resizedOnHost", static_cast<double>(chunk.resized_on_host));
  out.Set("voided", chunk.voided);
  if (!chunk.non_finite) {
    out.Set("nonFinite", env.Null());
    return out;
  }
  Napi::Object cause = Napi::Object::New(env);
  cause.Set("loss", chunk.cause.loss);
  cause.Set("gradNorm", chunk.cause.gradient_norm);
  cause.Set("indices", to_int32_array(env, std::move(chunk.cause.indices)));
  out.Set("nonFinite", cause);
  return out;
}

Napi::Value totals_to_js(Napi::Env env, plan::EvalTotals& totals) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("images", static_cast<double>(totals.images));
  out.Set("lossSum", totals.totals.loss);
  out.Set("top1", static_cast<double>(totals.totals.top1));
  out.Set("top5", static_cast<double>(totals.totals.top5));
  out.Set("bad", bad_samples_to_js(env, totals.bad));
  return out;
}

void check_labels(std::span<const int32_t> labels, int64_t count, int64_t classes, int32_t least, const char* name) {
  expect_size(labels.size(), count, name);
  for (const int32_t label : labels) {
    check(label >= least && label < classes, "ERR_SKNET_DATA",
          std::string(name) + ": " + std::to_string(label) + " is not a class of " + std::to_string(classes));
  }
}

}  // namespace

Napi::Function PlanObject::define(Napi::Env env) {
  const Napi::Function plan_class =
      DefineClass(env, "Plan",
                  {InstanceMethod<&PlanObject::device>("device"), InstanceMethod<&PlanObject::tensors>("tensors"),
                   InstanceMethod<&PlanObject::steps>("steps"), InstanceMethod<&PlanObject::memory>("memory"),
                   InstanceMethod<&PlanObject::read>("read"), InstanceMethod<&PlanObject::write>("write"),
                   InstanceMethod<&PlanObject::copy_from>("copyFrom"), InstanceMethod<&PlanObject::train_steps>("trainSteps"),
                   InstanceMethod<&PlanObject::train_batch>("trainBatch"), InstanceMethod<&PlanObject::evaluate>("evaluate"),
                   InstanceMethod<&PlanObject::infer>("infer"), InstanceMethod<&PlanObject::block_forward>("blockForward"),
                   InstanceMethod<&PlanObject::block_backward>("blockBackward"), InstanceMethod<&PlanObject::output_shape>("outputShape"),
                   InstanceMethod<&PlanObject::cancel>("cancel"), InstanceMethod<&PlanObject::dispose>("dispose")});
  AddonData::from(env).plan_class = Napi::Persistent(plan_class);
  return plan_class;
}

PlanObject::PlanObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PlanObject>(info) {
  guard(info.Env(), [&] {
    OpenedPlan opened = info[0].IsExternal() ? *info[0].As<Napi::External<OpenedPlan>>().Data() : plan_maker(Options(info[0]))();
    device_ = std::move(opened.device);
    plan_ = std::move(opened.plan);
    // V8 learns of the memory behind the small wrapper, so that it collects forgotten plans in time.
    reported_bytes_ = plan_->memory().total;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), reported_bytes_);
  });
}

plan::Plan& PlanObject::idle(const char* method) const {
  check(plan_ != nullptr, "ERR_SKNET_DISPOSED", std::string("Plan.") + method + ": the plan was disposed");
  check(!in_flight_->busy(), "ERR_SKNET_BUSY", std::string("Plan.") + method + ": the plan is running");
  return *plan_;
}

Napi::Value PlanObject::device(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), device_); }

Napi::Value PlanObject::tensors(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(info.Env());
    for (const plan::Tensor& t : idle("tensors").graph().tensors) {
      Napi::Object entry = Napi::Object::New(info.Env());
      entry.Set("name", t.name);
      entry.Set("shape", shape_to_js(info.Env(), t.shape));
      entry.Set("kind", t.buffer ? "buffer" : "param");
      out.Set(out.Length(), entry);
    }
    return out;
  });
}

Napi::Value PlanObject::steps(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    Napi::Array out = Napi::Array::New(env);
    for (const plan::StepInfo& step : idle("steps").steps()) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("op", step.op);
      entry.Set("layer", step.layer);
      entry.Set("phase", phase_name(step.phase));
      entry.Set("candidate", step.candidate);
      Napi::Array refused = Napi::Array::New(env);
      for (const plan::Refusal& r : step.refused) {
        Napi::Object refusal = Napi::Object::New(env);
        refusal.Set("candidate", r.candidate);
        refusal.Set("reason", r.reason);
        refused.Set(refused.Length(), refusal);
      }
      entry.Set("refused", refused);
      Napi::Array trials = Napi::Array::New(env);
      for (const plan::Trial& t : step.trials) {
        Napi::Object trial = Napi::Object::New(env);
        trial.Set("candidate", t.candidate);
        trial.Set("seconds", t.seconds);
        trials.Set(trials.Length(), trial);
      }
      entry.Set("trials", trials);
      entry.Set("note", step.note);
      entry.Set("flops", static_cast<double>(step.flops));
      entry.Set("bytes", static_cast<double>(step.bytes));
      entry.Set("seconds", step.seconds);
      out.Set(out.Length(), entry);
    }
    return out;
  });
}

Napi::Value PlanObject::memory(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value { return memory_to_js(info.Env(), idle("memory").memory()); });
}

Napi::Value PlanObject::read(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    plan::Plan& plan = idle("read");
    const plan::Tensor& tensor = plan.graph().tensor(string_argument(info, 1, "name"));
    std::vector<float> data(static_cast<size_t>(tensor.size()));
    expect_kept(plan.read(section_of(string_argument(info, 0, "section")), tensor, data.data()), info, tensor, "read");
    return to_float32_array(info.Env(), std::move(data));
  });
}

void PlanObject::write(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    plan::Plan& plan = idle("write");
    const plan::Tensor& tensor = plan.graph().tensor(string_argument(info, 1, "name"));
    const auto data = float32_span(info[2], tensor.name);
    expect_size(data.size(), tensor.size(), tensor.name);
    expect_kept(plan.write(section_of(string_argument(info, 0, "section")), tensor, data.data()), info, tensor, "write");
  });
}

void PlanObject::copy_from(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    plan::Plan& to = idle("copyFrom");
    check(
        info[0].IsObject() && info[0].As<Napi::Object>().InstanceOf(info.This().As<Napi::Object>().Get("constructor").As<Napi::Function>()),
        "ERR_SKNET_NATIVE", "Plan.copyFrom: expected a Plan");
    plan::Plan& from = PlanObject::Unwrap(info[0].As<Napi::Object>())->idle("copyFrom");
    to.copy_values(from, section_of(string_argument(info, 1, "section")) == plan::Section::kEma);
  });
}

template <class Result>
Napi::Value PlanObject::start(const Napi::CallbackInfo& info, const char* method, std::function<Result(plan::Plan&)> work,
                              std::function<Napi::Value(Napi::Env, Result&)> finish, std::function<void()> on_cancel) {
  in_flight_->enter(method);
  cancel_->store(false);
  const auto plan = plan_;
  const auto result = std::make_shared<Result>();
  AsyncCall call;
  call.work = [plan, work = std::move(work), result] { *result = work(*plan); };
  call.settled = [in_flight = in_flight_] { in_flight->leave(); };
  call.finish = [finish = std::move(finish), result](Napi::Env env) { return finish(env, *result); };
  call.cancel = [cancel = cancel_, on_cancel = std::move(on_cancel)] {
    cancel->store(true);
    if (on_cancel) on_cancel();
  };
  call.keep_alive = {info.This().As<Napi::Object>()};
  return run_async(info.Env(), std::move(call));
}

Napi::Value PlanObject::train_steps(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    idle("trainSteps");
    const std::shared_ptr<data::Loader> loader = LoaderObject::from(info[0], "loader");
    const auto lrs = float64_span(info[1], "lrs");
    const double budget = number_argument(info, 2, "budgetMs") / 1000;
    return start<plan::TrainChunk>(
        info, "trainSteps",
        [loader, lrs = std::vector<double>(lrs.begin(), lrs.end()), budget, cancel = cancel_](plan::Plan& plan) {
          return plan::train_steps(plan, *loader, lrs, budget, *cancel);
        },
        chunk_to_js, [loader] { loader->stop(); });
  });
}

Napi::Value PlanObject::train_batch(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    const plan::Plan& plan = idle("trainBatch");
    const auto images = float32_span(info[0], "images");
    const auto labels = int32_span(info[1], "labels");
    const double lr = number_argument(info, 2, "lr");
    expect_size(images.size(), plan.graph().input.size() * plan.spec().shards, "images");
    const bool mixed = !info[3].IsUndefined();
    const auto labels2 = mixed ? int32_span(info[3], "labels2") : std::span<int32_t>();
    const auto mix = mixed ? float32_span(info[4], "mix") : std::span<float>();
    const int64_t classes = plan.output_shape().size() / plan.output_shape().n;
    check_labels(labels, plan.batch(), classes, -1, "labels");
    if (mixed) {
      check_labels(labels2, plan.batch(), classes, 0, "labels2");
      expect_size(mix.size(), plan.batch(), "mix");
      for (const float share : mix) check(share >= 0 && share <= 1, "ERR_SKNET_DATA", "mix: shares must be from 0 to 1");
    }
    return start<plan::TrainChunk>(
        info, "trainBatch",
        [images = std::vector<float>(images.begin(), images.end()), labels = std::vector<int32_t>(labels.begin(), labels.end()),
         labels2 = std::vector<int32_t>(labels2.begin(), labels2.end()), mix = std::vector<float>(mix.begin(), mix.end()),
         lr](plan::Plan& p) {
          const plan::Targets targets{labels.data(), mix.empty() ? nullptr : labels2.data(), mix.empty() ? nullptr : mix.data()};
          return plan::train_batch(p, images.data(), targets, lr);
        },
        chunk_to_js);
  });
}

Napi::Value PlanObject::evaluate(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    idle("evaluate");
    const std::shared_ptr<data::Loader> loader = LoaderObject::from(info[0], "loader");
    return start<plan::EvalTotals>(
        info, "evaluate", [loader, cancel = cancel_](plan::Plan& plan) { return plan::evaluate(plan, *loader, *cancel); }, totals_to_js,
        [loader] { loader->stop(); });
  });
}

Napi::Value PlanObject::infer(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    const plan::Plan& plan = idle("infer");
    const auto images = float32_span(info[0], "images");
    const int64_t n = integer_argument(info, 1, "n", 1, int64_t{1} << 31);
    const int64_t image = plan.graph().input.size() / plan.graph().input.n;
    expect_size(images.size(), n * image, "images");
    return start<std::vector<float>>(
        info, "infer",
        [images = std::vector<float>(images.begin(), images.end()), n, image, cancel = cancel_](plan::Plan& p) {
          const int64_t out = p.output_shape().size() / p.output_shape().n;
          std::vector<float> logits(static_cast<size_t>(n * out));
          for (int64_t first = 0; first < n && !cancel->load(); first += p.spec().shard_size) {
            const int count = static_cast<int>(std::min<int64_t>(p.spec().shard_size, n - first));
            p.infer(images.data() + first * image, count, logits.data() + first * out);
          }
          return logits;
        },
        [](Napi::Env env, std::vector<float>& logits) -> Napi::Value { return to_float32_array(env, std::move(logits)); });
  });
}

Napi::Value PlanObject::block_forward(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    plan::Plan& plan = idle("blockForward");
    const auto x = float32_span(info[0], "x");
    expect_size(x.size(), plan.graph().input.size(), "x");
    std::vector<float> y(static_cast<size_t>(plan.output_shape().size()));
    plan.block_forward(x.data(), y.data());
    return to_float32_array(info.Env(), std::move(y));
  });
}

Napi::Value PlanObject::block_backward(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    plan::Plan& plan = idle("blockBackward");
    const auto dy = float32_span(info[0], "gy");
    expect_size(dy.size(), plan.output_shape().size(), "gy");
    std::vector<float> dx(static_cast<size_t>(plan.graph().input.size()));
    plan.block_backward(dy.data(), dx.data());
    return to_float32_array(info.Env(), std::move(dx));
  });
}

Napi::Value PlanObject::output_shape(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const plan::Shape shape = idle("outputShape").output_shape();
    return shape_to_js(info.Env(), {shape.n, shape.h, shape.w, shape.c});
  });
}

void PlanObject::cancel(const Napi::CallbackInfo&) { cancel_->store(true); }

void PlanObject::dispose(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    if (plan_ == nullptr) return;
    idle("dispose");
    plan_.reset();
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -std::exchange(reported_bytes_, 0));
  });
}

}  // namespace sknet::binding
