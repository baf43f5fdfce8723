#include "binding/loader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/convert.h"
#include "binding/error.h"
#include "binding/source.h"
#include "core/error.h"

namespace sknet::binding {

namespace {

constexpr napi_type_tag kTag = {0x2a6be0cc53f84d0a, 0x8e01b7f6d2c94433};
// Smaller arrays are cheaper to copy.
constexpr size_t kExternalBytes = size_t{1} << 20;
constexpr int32_t kMaxSide = 65535;
constexpr int32_t kMaxBatch = 1 << 20;
constexpr int32_t kMaxThreads = 1024;
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

template <class T>
T one_of(const Options& options, const char* name, std::initializer_list<std::pair<const char*, T>> values) {
  const std::string found = options.string(name);
  std::string expected;
  for (const auto& [text, value] : values) {
    if (found == text) return value;
    expected += (expected.empty() ? "" : " or ") + std::string(text);
  }
  throw Error("ERR_SKNET_NATIVE", options.path_of(name) + ": expected " + expected + ", got " + found)
      .with_option(options.path_of(name))
      .with_got(found)
      .with_expected(expected);
}

void copy_pair(const std::vector<double>& from, std::array<double, 2>& to) { std::copy(from.begin(), from.end(), to.begin()); }

data::Effect effect_options(const Options& options) {
  using data::EffectKind;
  data::Effect effect{one_of<EffectKind>(options, "kind",
                                         {{"rotate", EffectKind::kRotate},
                                          {"shear_x", EffectKind::kShearX},
                                          {"shear_y", EffectKind::kShearY},
                                          {"translate_x", EffectKind::kTranslateX},
                                          {"translate_y", EffectKind::kTranslateY},
                                          {"brightness", EffectKind::kBrightness},
                                          {"contrast", EffectKind::kContrast},
                                          {"saturation", EffectKind::kSaturation},
                                          {"hue", EffectKind::kHue},
                                          {"sharpness", EffectKind::kSharpness},
                                          {"posterize", EffectKind::kPosterize},
                                          {"solarize", EffectKind::kSolarize},
                                          {"autocontrast", EffectKind::kAutocontrast},
                                          {"equalize", EffectKind::kEqualize},
                                          {"offset", EffectKind::kOffset},
                                          {"color_jitter", EffectKind::kColorJitter},
                                          {"rand_augment", EffectKind::kRandAugment}})};
  if (effect.kind == EffectKind::kColorJitter) {
    effect.jitter = {options.number("brightness"), options.number("contrast"), options.number("saturation"), options.number("hue")};
    for (const double range : effect.jitter) check(range >= 0, "ERR_SKNET_NATIVE", "color_jitter: strengths must be at least 0");
    check(effect.jitter[3] <= 0.5, "ERR_SKNET_NATIVE", "color_jitter: hue must be at most 0.5");
  } else if (effect.kind == EffectKind::kRandAugment) {
    effect.count = options.int32("count", 0, 100);
    effect.magnitude = options.int32("magnitude", 0, 30);
    effect.nearest = true;
  } else if (effect.kind != EffectKind::kAutocontrast && effect.kind != EffectKind::kEqualize) {
    const std::vector<double> range = options.numbers("range", 2);
    effect.low = range[0];
    effect.high = range[1];
    check(std::abs(range[0]) <= kMaxSide && std::abs(range[1]) <= kMaxSide, "ERR_SKNET_NATIVE", "an effect's range is too large");
  }
  if (options.has("interpolation")) effect.nearest = one_of<bool>(options, "interpolation", {{"nearest", true}, {"bilinear", false}});
  if (options.has("fill")) {
    const std::vector<double> fill = options.numbers("fill", 3);
    for (size_t c = 0; c < 3; ++c) effect.fill[c] = static_cast<uint8_t>(std::clamp(fill[c], 0.0, 255.0));
  }
  return effect;
}

data::TransformOptions transform_options(const Options& options) {
  data::TransformOptions transform;
  transform.height = options.int32("height", 1, kMaxSide);
  transform.width = options.int32("width", 1, kMaxSide);
  transform.geometry = one_of<data::Geometry>(options, "geometry",
                                              {{"pad_crop", data::Geometry::kPadCrop},
                                               {"random_resized_crop", data::Geometry::kRandomResizedCrop},
                                               {"resize_crop", data::Geometry::kResizeCrop}});
  transform.pad = options.int32("pad", 0, kMaxSide);
  copy_pair(options.numbers("area", 2), transform.area);
  copy_pair(options.numbers("aspect", 2), transform.aspect);
  transform.resize = options.int32("resize", 0, kMaxSide);
  transform.interpolation =
      one_of<data::Filter>(options, "interpolation", {{"bilinear", data::Filter::kBilinear}, {"bicubic", data::Filter::kBicubic}});
  transform.dct_scale = options.has("dctScale") && options.boolean("dctScale");
  transform.flip = options.number("flip");
  if (options.has("effects")) {
    for (const Options& effect : options.objects("effects")) transform.effects.push_back(effect_options(effect));
  }
  const std::vector<double> mean = options.numbers("mean", 3), std = options.numbers("std", 3);
  for (size_t c = 0; c < 3; ++c) {
    transform.mean[c] = static_cast<float>(mean[c]);
    transform.std[c] = static_cast<float>(std[c]);
  }
  for (const double low : {transform.area[0], transform.aspect[0]}) {
    check(low > 0, "ERR_SKNET_NATIVE", "transform: area and aspect must be above 0");
  }
  check(transform.area[0] <= transform.area[1] && transform.aspect[0] <= transform.aspect[1], "ERR_SKNET_NATIVE",
        "transform: area and aspect must be given as [least, greatest]");
  return transform;
}

data::LoaderOptions loader_options(const Options& options) {
  data::LoaderOptions loader;
  loader.batch_size = options.int32("batchSize", 1, kMaxBatch);
  loader.seed = static_cast<uint64_t>(options.integer("seed", 0, kMaxSafeInteger));
  loader.epoch = static_cast<uint32_t>(options.integer("epoch", 0, std::numeric_limits<uint32_t>::max()));
  loader.shuffle = options.boolean("shuffle");
  loader.balanced = options.has("balanced") && options.boolean("balanced");
  if (options.has("slice")) {
    const std::vector<double> slice = options.numbers("slice", 2);
    check(slice[0] >= 0 && slice[1] <= kMaxBatch && slice[0] < slice[1], "ERR_SKNET_NATIVE", "slice must be a part of the batch");
    loader.slice_begin = static_cast<int>(slice[0]);
    loader.slice_end = static_cast<int>(slice[1]);
  }
  loader.drop_last = options.boolean("dropLast");
  loader.skip_batches = options.integer("skipBatches", 0, std::numeric_limits<int32_t>::max());
  loader.transform = transform_options(options.object("transform"));
  if (options.has("imageBytes")) loader.image_bytes = options.integer("imageBytes", 0, int64_t{1} << 40);
  if (options.has("mixup")) loader.mix.mixup = options.number("mixup");
  if (options.has("cutmix")) loader.mix.cutmix = options.number("cutmix");
  check(loader.mix.mixup >= 0 && loader.mix.cutmix >= 0, "ERR_SKNET_NATIVE", "mixup and cutmix must be at least 0");
  loader.threads = options.int32("threads", 1, kMaxThreads);
  loader.ahead = options.int32("ahead", 1, kMaxThreads);
  loader.on_bad_sample = one_of<data::BadSamplePolicy>(
      options, "onBadSample", {{"replace", data::BadSamplePolicy::kReplace}, {"skip", data::BadSamplePolicy::kSkip}});
  return loader;
}

// A batch of one's own: its pixels are the slot's, which goes on with other memory.
struct TakenBatch {
  bool end = false;
  size_t floats = 0;
  data::FloatBuffer images;
  std::vector<int32_t> labels, indices, labels2;
  std::vector<float> mix;  // with labels2: empty where nothing was mixed
  std::vector<BadSample> bad;
  // Of a batch of bytes, which stays here.
  bool of_bytes = false;
  int64_t bytes = 0;
  int resized_on_host = 0;
};

TakenBatch take_batch(data::Loader& loader, data::FloatBufferPool& pool) {
  const Batch* batch = loader.acquire();
  if (batch == nullptr) return {.end = true};
  TakenBatch taken;
  try {
    taken.floats = static_cast<size_t>(batch->count) * static_cast<size_t>(loader.height()) * static_cast<size_t>(loader.width()) * 3;
    taken.labels.assign(batch->labels, batch->labels + batch->count);
    taken.indices.assign(batch->indices, batch->indices + batch->count);
    if (batch->mix != nullptr) {
      taken.labels2.assign(batch->labels2, batch->labels2 + batch->count);
      taken.mix.assign(batch->mix, batch->mix + batch->count);
    }
    taken.bad = batch->bad;
    taken.of_bytes = batch->images == nullptr;
    taken.bytes = batch->pictures.size;
    taken.resized_on_host = batch->resized_on_host;
    if (!taken.of_bytes) taken.images = loader.take_images(pool.take(loader.images_size()));
  } catch (...) {
    loader.release();
    throw;
  }
  loader.release();
  return taken;
}

struct PooledBuffer {
  data::FloatBuffer buffer;
  std::shared_ptr<data::FloatBufferPool> pool;
};

void return_to_pool(napi_env, void*, void* hint) {
  const std::unique_ptr<PooledBuffer> owner(static_cast<PooledBuffer*>(hint));
  owner->pool->put(std::move(owner->buffer));
}

// The pixels without a copy where the host allows it; their memory goes back to the pool when JavaScript has let go of them.
Napi::Float32Array images_to_js(Napi::Env env, TakenBatch& batch, const std::shared_ptr<data::FloatBufferPool>& pool) {
  const size_t bytes = batch.floats * sizeof(float);
  if (bytes >= kExternalBytes) {
    auto owner = std::make_unique<PooledBuffer>(PooledBuffer{std::move(batch.images), pool});
    napi_value buffer = nullptr;
    if (napi_create_external_arraybuffer(env, owner->buffer.data(), bytes, return_to_pool, owner.get(), &buffer) == napi_ok) {
      owner.release();
      return Napi::Float32Array::New(env, batch.floats, Napi::ArrayBuffer(env, buffer), 0);
    }
    batch.images = std::move(owner->buffer);
  }
  Napi::Float32Array copy = Napi::Float32Array::New(env, batch.floats);
  std::copy_n(batch.images.data(), batch.floats, copy.Data());
  pool->put(std::move(batch.images));
  return copy;
}

Napi::Value batch_to_js(Napi::Env env, TakenBatch& batch, const std::shared_ptr<data::FloatBufferPool>& pool) {
  if (batch.end) return env.Null();
  Napi::Object result = Napi::Object::New(env);
  if (batch.of_bytes) {
    Napi::Object pictures = Napi::Object::New(env);
    pictures.Set("bytes", static_cast<double>(batch.bytes));
    pictures.Set("resizedOnHost", batch.resized_on_host);
    result.Set("pictures", pictures);
    result.Set("images", Napi::Float32Array::New(env, 0));
  } else {
    result.Set("images", images_to_js(env, batch, pool));
  }
  result.Set("labels", to_int32_array(env, std::move(batch.labels)));
  result.Set("indices", to_int32_array(env, std::move(batch.indices)));
  if (!batch.mix.empty()) {
    result.Set("labels2", to_int32_array(env, std::move(batch.labels2)));
    result.Set("mix", to_float32_array(env, std::move(batch.mix)));
  }
  result.Set("bad", bad_samples_to_js(env, batch.bad));
  return result;
}

}  // namespace

Napi::Array bad_samples_to_js(Napi::Env env, const std::vector<BadSample>& bad) {
  Napi::Array array = Napi::Array::New(env, bad.size());
  for (uint32_t i = 0; i < bad.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("index", static_cast<double>(bad[i].index));
    entry.Set("path", bad[i].path);
    entry.Set("reason", bad[i].reason);
    array.Set(i, entry);
  }
  return array;
}

Napi::Function LoaderObject::define(Napi::Env env) {
  return DefineClass(env, "Loader",
                     {InstanceAccessor<&LoaderObject::remaining>("remaining"), InstanceMethod<&LoaderObject::next>("next"),
                      InstanceMethod<&LoaderObject::requests>("requests"), InstanceMethod<&LoaderObject::supply>("supply"),
                      InstanceMethod<&LoaderObject::dispose>("dispose")});
}

std::shared_ptr<data::Loader> LoaderObject::from(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Error("ERR_SKNET_NATIVE", std::string(name) + " must be a Loader").with_option(name).with_expected("a Loader");
  }
  std::shared_ptr<data::Loader> loader = Unwrap(value.As<Napi::Object>())->loader_;
  if (!loader) throw Error("ERR_SKNET_DISPOSED", "the loader was disposed");
  return loader;
}

LoaderObject::LoaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LoaderObject>(info) {
  guard(info.Env(), [&] {
    std::shared_ptr<const data::Source> source = SourceObject::from(info[0], "source");
    loader_ = std::make_shared<data::Loader>(std::move(source), loader_options(Options(info[1])));
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Napi::Value LoaderObject::remaining(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), loader_ ? static_cast<double>(loader_->remaining()) : 0);
}

Napi::Value LoaderObject::next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<data::Loader> loader = from(info.This(), "this");
    in_flight_->enter("next");
    const auto batch = std::make_shared<TakenBatch>();
    const std::shared_ptr<data::FloatBufferPool> pool = AddonData::from(env).batch_buffers;
    AsyncCall call;
    call.work = [loader, batch, pool] { *batch = take_batch(*loader, *pool); };
    call.settled = [in_flight = in_flight_] { in_flight->leave(); };
    call.finish = [batch, pool](Napi::Env e) { return batch_to_js(e, *batch, pool); };
    call.cancel = [loader] { loader->stop(); };
    return run_async(env, std::move(call));
  });
}

Napi::Value LoaderObject::requests(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::shared_ptr<data::Loader> loader = from(info.This(), "this");
    check(loader->feed() != nullptr, "ERR_SKNET_NATIVE", "requests() is for a loader whose source is a feed");
    requesting_->enter("requests");
    const auto requests = std::make_shared<data::FeedRequests>();
    AsyncCall call;
    call.work = [loader, requests] { *requests = loader->feed()->next_requests(); };
    call.settled = [requesting = requesting_] { requesting->leave(); };
    call.finish = [requests](Napi::Env e) -> Napi::Value {
      if (requests->samples.empty() && requests->chunks.empty()) return e.Null();
      std::vector<double> tickets;
      std::vector<int32_t> indices;
      for (const data::FeedRequest& request : requests->samples) {
        tickets.push_back(static_cast<double>(request.ticket));
        indices.push_back(static_cast<int32_t>(request.index));
      }
      Napi::Object result = Napi::Object::New(e);
      result.Set("tickets", to_float64_array(e, std::move(tickets)));
      result.Set("indices", to_int32_array(e, std::move(indices)));
      result.Set("ahead", to_int32_array(e, std::move(requests->chunks)));
      return result;
    };
    call.cancel = [loader] { loader->stop(); };
    return run_async(env, std::move(call));
  });
}

void LoaderObject::supply(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    // An answer that comes after the end is nobody's.
    if (!loader_ || loader_->feed() == nullptr) return;
    const int64_t ticket = integer_argument(info, 0, "ticket", 0, kMaxSafeInteger);
    const Options options(info[1], "sample");
    data::FedSample sample;
    if (options.has("path")) sample.path = options.string("path");
    if (options.has("fault")) {
      sample.fault = options.string("fault");
    } else {
      const std::span<const uint8_t> bytes = options.uint8("data");
      sample.bytes.assign(bytes.begin(), bytes.end());
      sample.label = options.int32("label", -1, std::numeric_limits<int32_t>::max());
      if (options.has("width")) {
        sample.width = options.int32("width", 1, kMaxSide);
        sample.height = options.int32("height", 1, kMaxSide);
        const size_t expected = size_t{3} * static_cast<size_t>(sample.width) * static_cast<size_t>(sample.height);
        check(sample.bytes.size() == expected, "ERR_SKNET_NATIVE", "pixels must be width x height x 3 bytes");
      }
    }
    loader_->feed()->supply(ticket, std::move(sample));
  });
}

void LoaderObject::dispose(const Napi::CallbackInfo&) {
  // A call in flight still holds the loader; stop() ends it.
  if (loader_) loader_->stop();
  loader_.reset();
}

}  // namespace sknet::binding
