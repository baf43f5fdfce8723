// The JS class Source.
#pragma once

#include <napi.h>

#include <memory>

#include "data/source.h"

namespace sknet::binding {

class SourceObject : public Napi::ObjectWrap<SourceObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The native source behind a JS Source. Throws Error ERR_SKNET_NATIVE naming `name` for anything else.
  static std::shared_ptr<const data::Source> from(const Napi::Value& value, const char* name);

  // sync: CIFAR files and the indexes of shards are read here.
  explicit SourceObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value labels(const Napi::CallbackInfo& info);
  Napi::Value notes(const Napi::CallbackInfo& info);

  std::shared_ptr<const data::Source> source_;
};

// async: openSource(options) of binding.d.ts, a Source made on a native thread.
Napi::Value open_source(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
