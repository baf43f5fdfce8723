#include "binding/source.h"

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/async.h"
#include "binding/convert.h"
#include "binding/error.h"
#include "core/error.h"
#include "data/cifar.h"
#include "data/feed.h"
#include "data/file_source.h"
#include "data/memory_source.h"
#include "data/shard_source.h"
#include "data/synthetic.h"

namespace sknet::binding {

namespace {

constexpr napi_type_tag kTag = {0x6b0c1d5f0a3e4c11, 0x9f27a1d84c5be602};
constexpr int32_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr int32_t kMaxSide = 65535;
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

using MakeSource = std::function<std::unique_ptr<data::Source>()>;

std::vector<data::ShardPath> shard_paths(const Options& options) {
  std::vector<std::string> tars = options.strings("tars"), indexes = options.strings("indexes");
  check(tars.size() == indexes.size() && !tars.empty(), "ERR_SKNET_NATIVE", "tars and indexes must have the same length, at least 1");
  std::vector<data::ShardPath> paths;
  for (size_t i = 0; i < tars.size(); ++i) paths.push_back({std::move(tars[i]), std::move(indexes[i])});
  return paths;
}

data::FeedOptions feed_options(const Options& options) {
  data::FeedOptions feed;
  feed.name = options.string("name");
  feed.size = options.integer("size", 1, kMaxInt);
  feed.classes = options.int32("classes", 1, kMaxInt);
  feed.max_pixels = options.integer("maxPixels", 1, kMaxInt);
  if (options.has("labels")) {
    const std::span<const int32_t> labels = options.int32_array("labels");
    feed.labels.assign(labels.begin(), labels.end());
  }
  if (options.has("streamWindow")) feed.stream_window = options.integer("streamWindow", 1, kMaxInt);
  if (options.has("chunks")) {
    const std::span<const int32_t> firsts = options.int32_array("chunks");
    const std::span<const double> bytes = options.float64("chunkBytes");
    check(firsts.size() == bytes.size(), "ERR_SKNET_NATIVE", "chunks and chunkBytes must have the same length");
    for (size_t i = 0; i < firsts.size(); ++i) feed.chunks.push_back({firsts[i], static_cast<int64_t>(bytes[i])});
    feed.window_bytes = options.integer("windowBytes", 1, kMaxSafeInteger);
  }
  return feed;
}

// Reads the options now; what it returns may run on any thread.
MakeSource source_maker(const Options& options) {
  const std::string kind = options.string("kind");
  if (kind == "cifar") {
    return [files = options.strings("files"), bytes = options.int32("labelBytes", 1, 2), byte = options.int32("labelByte", 0, 1)] {
      return data::make_cifar_source(files, bytes, byte);
    };
  }
  if (kind == "shards") {
    return [paths = shard_paths(options), max_pixels = options.integer("maxPixels", 1, kMaxInt)] {
      return data::make_shard_source(paths, max_pixels);
    };
  }
  if (kind == "feed") {
    return [feed = feed_options(options)]() mutable { return data::make_feed_source(std::move(feed)); };
  }
  if (kind == "files") {
    const std::span<const int32_t> labels = options.int32_array("labels");
    return [paths = options.strings("paths"), labels = std::vector<int32_t>(labels.begin(), labels.end()),
            max_pixels = options.integer("maxPixels", 1, kMaxInt),
            listed_at = options.has("listedAt") ? options.integer("listedAt", 0, kMaxSafeInteger) : 0]() mutable {
      return data::make_file_source(std::move(paths), std::move(labels), max_pixels, listed_at);
    };
  }
  if (kind == "synthetic") {
    return [count = options.integer("count", 1, kMaxInt), classes = options.int32("classes", 2, data::kMaxSyntheticClasses),
            size = options.int32("size", 1, kMaxSide), seed = static_cast<uint64_t>(options.integer("seed", 0, kMaxSafeInteger))] {
      return data::make_synthetic_source(count, classes, size, seed);
    };
  }
  if (kind == "memory") {
    const std::span<const uint8_t> images = options.uint8("images");
    const std::span<const int32_t> labels = options.int32_array("labels");
    return [images = std::vector<uint8_t>(images.begin(), images.end()), labels = std::vector<int32_t>(labels.begin(), labels.end()),
            height = options.int32("height", 1, kMaxSide), width = options.int32("width", 1, kMaxSide)]() mutable {
      return data::make_memory_source(std::move(images), std::move(labels), height, width);
    };
  }
  throw Error("ERR_SKNET_NATIVE", "unknown kind of source: " + kind)
      .with_option("kind")
      .with_got(kind)
      .with_expected("cifar, feed, files, shards, synthetic or memory");
}

}  // namespace

Napi::Function SourceObject::define(Napi::Env env) {
  const Napi::Function source_class =
      DefineClass(env, "Source",
                  {InstanceAccessor<&SourceObject::size>("size"), InstanceMethod<&SourceObject::labels>("labels"),
                   InstanceMethod<&SourceObject::notes>("notes")});
  AddonData::from(env).source_class = Napi::Persistent(source_class);
  return source_class;
}

std::shared_ptr<const data::Source> SourceObject::from(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Error("ERR_SKNET_NATIVE", std::string(name) + " must be a Source").with_option(name).with_expected("a Source");
  }
  return Unwrap(value.As<Napi::Object>())->source_;
}

SourceObject::SourceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SourceObject>(info) {
  guard(info.Env(), [&] {
    if (info[0].IsExternal()) {
      source_ = *info[0].As<Napi::External<std::shared_ptr<const data::Source>>>().Data();
    } else {
      source_ = source_maker(Options(info[0]))();
    }
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

Napi::Value SourceObject::notes(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    const std::vector<std::string> notes = source_->notes();
    Napi::Array array = Napi::Array::New(info.Env(), notes.size());
    for (uint32_t i = 0; i < notes.size(); ++i) array.Set(i, notes[i]);
    return array;
  });
}

Napi::Value open_source(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const auto source = std::make_shared<std::shared_ptr<const data::Source>>();
    AsyncCall call;
    call.work = [source, make = source_maker(Options(info[0]))] { *source = make(); };
    call.finish = [source](Napi::Env e) -> Napi::Value {
      return AddonData::from(e).source_class.New({Napi::External<std::shared_ptr<const data::Source>>::New(e, source.get())});
    };
    return run_async(env, std::move(call));
  });
}

}  // namespace sknet::binding
