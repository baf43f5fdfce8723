#include "binding/pack.h"

#include <string>
#include <utility>

#include "binding/convert.h"
#include "binding/error.h"
#include "binding/loader.h"
#include "binding/source.h"
#include "core/error.h"
#include "data/verify_shard.h"

namespace sknet::binding {

namespace {

constexpr int32_t kMaxSide = 65535;
constexpr int32_t kMaxThreads = 1024;
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

data::PackMode pack_mode(const std::string& name) {
  if (name == "original") return data::PackMode::kOriginal;
  if (name == "jpeg") return data::PackMode::kJpeg;
  if (name == "raw") return data::PackMode::kRaw;
  throw Error("ERR_SKNET_NATIVE", "mode: expected original, jpeg or raw, got " + name)
      .with_option("mode")
      .with_got(name)
      .with_expected("original, jpeg or raw");
}

data::PackOptions pack_options(const Options& options) {
  data::PackOptions pack;
  pack.image.mode = pack_mode(options.string("mode"));
  pack.image.short_side = options.int32("shortSide", 0, kMaxSide);
  pack.image.quality = options.int32("quality", 1, 100);
  pack.shard_bytes = options.integer("shardBytes", 1, kMaxSafeInteger);
  pack.threads = options.int32("threads", 1, kMaxThreads);
  pack.shuffle = options.boolean("shuffle");
  pack.seed = static_cast<uint64_t>(options.integer("seed", 0, kMaxSafeInteger));
  pack.from = options.integer("from", 0, kMaxSafeInteger);
  pack.info = options.boolean("info");
  pack.root = options.string("root");
  return pack;
}

}  // namespace

Napi::Function PackerObject::define(Napi::Env env) {
  return DefineClass(env, "Packer",
                     {InstanceMethod<&PackerObject::write_shard>("writeShard"), InstanceAccessor<&PackerObject::done>("done"),
                      InstanceMethod<&PackerObject::dispose>("dispose")});
}

PackerObject::PackerObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PackerObject>(info) {
  guard(info.Env(),
        [&] { packer_ = std::make_shared<data::Packer>(SourceObject::from(info[0], "source"), pack_options(Options(info[1]))); });
}

Napi::Value PackerObject::write_shard(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    if (!packer_) throw Error("ERR_SKNET_DISPOSED", "the packer was disposed");
    in_flight_->enter("writeShard");
    const auto shard = std::make_shared<data::PackedShard>();
    AsyncCall call;
    call.work = [packer = packer_, shard, tar = string_argument(info, 0, "tar"), index = string_argument(info, 1, "index")] {
      *shard = packer->write_shard(tar, index);
    };
    call.settled = [in_flight = in_flight_] { in_flight->leave(); };
    call.finish = [shard](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("from", static_cast<double>(shard->from));
      result.Set("to", static_cast<double>(shard->to));
      result.Set("samples", static_cast<double>(shard->samples));
      result.Set("bytes", static_cast<double>(shard->bytes));
      result.Set("bad", bad_samples_to_js(e, shard->bad));
      return result;
    };
    call.cancel = [packer = packer_] { packer->stop(); };
    return run_async(env, std::move(call));
  });
}

Napi::Value PackerObject::done(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), packer_ ? static_cast<double>(packer_->done()) : 0);
}

void PackerObject::dispose(const Napi::CallbackInfo&) {
  // A call in flight still holds the packer; stop() ends it.
  if (packer_) packer_->stop();
  packer_.reset();
}

Napi::Value verify_shard(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const auto shard = std::make_shared<data::VerifiedShard>();
    AsyncCall call;
    call.work = [shard, tar = string_argument(info, 0, "tar"), index = string_argument(info, 1, "index"),
                 quick = info[2].ToBoolean().Value()] { *shard = data::verify_shard(tar, index, quick); };
    call.finish = [shard](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("samples", static_cast<double>(shard->samples));
      result.Set("bytes", static_cast<double>(shard->bytes));
      result.Set("from", static_cast<double>(shard->from));
      result.Set("to", static_cast<double>(shard->to));
      return result;
    };
    return run_async(env, std::move(call));
  });
}

}  // namespace sknet::binding
