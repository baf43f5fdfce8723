// The JS class Plan.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <string>

#include "binding/async.h"
#include "plan/plan.h"

namespace sknet::binding {

class PlanObject : public Napi::ObjectWrap<PlanObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // sync: a device's candidates are timed here. open_plan() is the same on a native thread.
  explicit PlanObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value steps(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);
  void copy_from(const Napi::CallbackInfo& info);
  // async
  Napi::Value train_steps(const Napi::CallbackInfo& info);
  Napi::Value train_batch(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value infer(const Napi::CallbackInfo& info);
  // sync, tests only
  Napi::Value block_forward(const Napi::CallbackInfo& info);
  Napi::Value block_backward(const Napi::CallbackInfo& info);
  Napi::Value output_shape(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  // Throws ERR_SKNET_DISPOSED after dispose(), ERR_SKNET_BUSY while a call is in flight.
  plan::Plan& idle(const char* method) const;
  // Runs `work` on a native thread with the plan; one call at a time.
  template <class Result>
  Napi::Value start(const Napi::CallbackInfo& info, const char* method, std::function<Result(plan::Plan&)> work,
                    std::function<Napi::Value(Napi::Env, Result&)> finish, std::function<void()> on_cancel = nullptr);

  std::shared_ptr<plan::Plan> plan_;
  std::shared_ptr<std::atomic<bool>> cancel_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<InFlight> in_flight_ = std::make_shared<InFlight>();
  std::string device_;
  int64_t reported_bytes_ = 0;
};

}  // namespace sknet::binding
