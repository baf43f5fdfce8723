// What the addon keeps per JavaScript environment (main thread or Worker); nothing in native/ is process-wide.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/async.h"
#include "data/float_buffer.h"

namespace sknet::binding {

class AddonData {
 public:
  // Creates the environment's state and registers the hook that ends its threads. Called once, by the module's init.
  static AddonData& create(Napi::Env env);
  static AddonData& from(Napi::Env env);

  AsyncRunner& runner() { return *runner_; }

  // Of loaders, whose batches JavaScript lets go of some time later.
  const std::shared_ptr<data::FloatBufferPool> batch_buffers = std::make_shared<data::FloatBufferPool>();

  // Classes of binding.d.ts, for functions that return one.
  Napi::FunctionReference plan_class, source_class;

 private:
  explicit AddonData(Napi::Env env) : runner_(std::make_unique<AsyncRunner>(env)) {}
  static void at_teardown(void* data);

  std::unique_ptr<AsyncRunner> runner_;
};

}  // namespace sknet::binding
