// The JS class Loader.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/async.h"
#include "core/batch.h"
#include "data/loader.h"

namespace sknet::binding {

class LoaderObject : public Napi::ObjectWrap<LoaderObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The native loader behind a JS Loader; the pointer keeps it alive, whatever becomes of the JS object. Throws Error ERR_SKNET_NATIVE
  // naming `name` for anything else, ERR_SKNET_DISPOSED after dispose(). A call that uses it should also give stop() as its cancel.
  static std::shared_ptr<data::Loader> from(const Napi::Value& value, const char* name);

  explicit LoaderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value remaining(const Napi::CallbackInfo& info);
  // async: the batch's memory becomes JavaScript's.
  Napi::Value next(const Napi::CallbackInfo& info);
  // async: what the feed is asked for.
  Napi::Value requests(const Napi::CallbackInfo& info);
  void supply(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<data::Loader> loader_;
  std::shared_ptr<InFlight> in_flight_ = std::make_shared<InFlight>(), requesting_ = std::make_shared<InFlight>();
};

// [{ index, path, reason }]; also part of the plan's results.
Napi::Array bad_samples_to_js(Napi::Env env, const std::vector<BadSample>& bad);

}  // namespace sknet::binding
