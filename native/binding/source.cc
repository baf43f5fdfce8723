#include "binding/source.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "binding/convert.h"
#include "binding/error.h"
#include "core/error.h"
#include "data/cifar.h"
#include "data/file_source.h"
#include "data/memory_source.h"
#include "data/synthetic.h"

namespace sknet::binding {

namespace {

constexpr napi_type_tag kTag = {0x6b0c1d5f0a3e4c11, 0x9f27a1d84c5be602};
constexpr int32_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr int32_t kMaxSide = 65535;
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

std::unique_ptr<data::Source> make_source(const Options& options) {
  const std::string kind = options.string("kind");
  if (kind == "cifar") {
    return data::make_cifar_source(options.strings("files"), options.int32("labelBytes", 1, 2), options.int32("labelByte", 0, 1));
  }
  if (kind == "files") {
    const std::span<const int32_t> labels = options.int32_array("labels");
    return data::make_file_source(options.strings("paths"), {labels.begin(), labels.end()}, options.integer("maxPixels", 1, kMaxInt),
                                  options.has("listedAt") ? options.integer("listedAt", 0, kMaxSafeInteger) : 0);
  }
  if (kind == "synthetic") {
    return data::make_synthetic_source(options.integer("count", 1, kMaxInt), options.int32("classes", 2, data::kMaxSyntheticClasses),
                                       options.int32("size", 1, kMaxSide),
                                       static_cast<uint64_t>(options.integer("seed", 0, kMaxSafeInteger)));
  }
  if (kind == "memory") {
    const std::span<const uint8_t> images = options.uint8("images");
    const std::span<const int32_t> labels = options.int32_array("labels");
    return data::make_memory_source({images.begin(), images.end()}, {labels.begin(), labels.end()}, options.int32("height", 1, kMaxSide),
                                    options.int32("width", 1, kMaxSide));
  }
  throw Error("ERR_SKNET_NATIVE", "unknown kind of source: " + kind)
      .with_option("kind")
      .with_got(kind)
      .with_expected("cifar, files, synthetic or memory");
}

}  // namespace

Napi::Function SourceObject::define(Napi::Env env) {
  return DefineClass(env, "Source", {InstanceAccessor<&SourceObject::size>("size"), InstanceMethod<&SourceObject::labels>("labels")});
}

std::shared_ptr<const data::Source> SourceObject::from(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Error("ERR_SKNET_NATIVE", std::string(name) + " must be a Source").with_option(name).with_expected("a Source");
  }
  return Unwrap(value.As<Napi::Object>())->source_;
}

SourceObject::SourceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SourceObject>(info) {
  guard(info.Env(), [&] {
    source_ = make_source(Options(info[0]));
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Napi::Value SourceObject::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(source_->size()));
}

Napi::Value SourceObject::labels(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    std::vector<int32_t> labels(static_cast<size_t>(source_->size()));
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = source_->label(static_cast<int64_t>(i));
    return to_int32_array(info.Env(), std::move(labels));
  });
}

}  // namespace sknet::binding
