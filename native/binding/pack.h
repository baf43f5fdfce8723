// The JS class Packer, and verifyShard().
#pragma once

#include <napi.h>

#include <memory>

#include "binding/async.h"
#include "data/pack.h"

namespace sknet::binding {

class PackerObject : public Napi::ObjectWrap<PackerObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PackerObject(const Napi::CallbackInfo& info);

 private:
  // async
  Napi::Value write_shard(const Napi::CallbackInfo& info);
  Napi::Value done(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<data::Packer> packer_;
  std::shared_ptr<InFlight> in_flight_ = std::make_shared<InFlight>();
};

// async: verifyShard(tar, index, quick) of binding.d.ts.
Napi::Value verify_shard(const Napi::CallbackInfo& info);

}  // namespace sknet::binding
