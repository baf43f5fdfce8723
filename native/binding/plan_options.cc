#include "binding/plan_options.h"

#include <string>

#include "core/error.h"
#include "plugin/api.h"

namespace sknet::binding {

namespace {

constexpr int32_t kMaxSize = 1 << 24;

plan::LayerSpec layer_spec(const Options& o) {
  plan::LayerSpec layer;
  layer.op = o.string("op");
  layer.name = o.string("name");
  layer.inputs = o.strings("inputs");
  const auto size = [&](const char* name, int& field, int32_t min) {
    if (o.has(name)) field = o.int32(name, min, kMaxSize);
  };
  size("out", layer.out, 1);
  size("kernel", layer.kernel, 1);
  size("stride", layer.stride, 1);
  size("padding", layer.padding, 0);
  size("dilation", layer.dilation, 1);
  size("groups", layer.groups, 1);
  size("first", layer.first, 0);
  if (o.has("ceil")) layer.ceil = o.boolean("ceil");
  if (o.has("bias")) layer.bias = o.boolean("bias");
  if (o.has("eps")) layer.eps = static_cast<float>(o.number("eps"));
  if (o.has("momentum")) layer.momentum = static_cast<float>(o.number("momentum"));
  if (layer.op == "sk_unit") {
    for (const Options& b : o.objects("branches")) {
      layer.branches.push_back({b.int32("kernel", 1, kMaxSize), b.int32("dilation", 1, kMaxSize), b.int32("groups", 1, kMaxSize)});
    }
    if (o.has("splitInput")) layer.split_input = o.boolean("splitInput");
    if (!o.value("attention").IsNull()) layer.attention_width = o.object("attention").int32("width", 1, kMaxSize);
  }
  return layer;
}

plan::Mode mode_of(const Options& options) {
  const std::string mode = options.string("mode");
  if (mode == "train") return plan::Mode::kTrain;
  if (mode == "infer") return plan::Mode::kInfer;
  if (mode == "block") return plan::Mode::kBlock;
  throw Error("ERR_SKNET_NATIVE", "mode: expected train, infer or block, got " + mode).with_option("mode").with_got(mode);
}

plan::OptimizerSpec optimizer_spec(const Options& o) {
  const auto decay = o.float64("weightDecay");
  std::vector<double> scales;
  if (o.has("lrScale")) {
    const auto given = o.float64("lrScale");
    scales.assign(given.begin(), given.end());
  }
  return {.momentum = static_cast<float>(o.number("momentum")),
          .nesterov = o.boolean("nesterov"),
          .weight_decay = {decay.begin(), decay.end()},
          .lr_scale = scales,
          .trust = o.has("trust") ? o.number("trust") : 0,
          .grad_clip = o.number("gradClip"),
          .ema_decay = o.number("emaDecay")};
}

plan::RankSpec rank_spec(const Options& o) {
  plan::RankSpec ranks{.count = o.int32("count", 1, kMaxSize)};
  ranks.rank = o.int32("rank", 0, ranks.count - 1);
  if (ranks.count == 1) return ranks;
  const auto id = o.uint8("id");
  check(id.size() == plugin::kRankIdBytes, "ERR_SKNET_NATIVE",
        "ranks.id: expected " + std::to_string(plugin::kRankIdBytes) + " bytes, got " + std::to_string(id.size()));
  ranks.id.assign(id.begin(), id.end());
  return ranks;
}

Precision precision_of(const std::string& name) {
  if (name == "fp32") return Precision::kFp32;
  if (name == "bf16") return Precision::kBf16;
  throw Error("ERR_SKNET_OPTION", "precision: unknown '" + name + "'")
      .with_option("precision")
      .with_got(name)
      .with_expected("fp32 or bf16");
}

}  // namespace

plan::PlanSpec plan_spec(const Options& options) {
  plan::PlanSpec spec;
  for (const Options& layer : options.objects("layers")) spec.layers.push_back(layer_spec(layer));
  const Options input = options.object("input");
  spec.height = input.int32("height", 1, kMaxSize);
  spec.width = input.int32("width", 1, kMaxSize);
  spec.channels = input.int32("channels", 1, kMaxSize);
  spec.mode = mode_of(options);
  spec.shard_size = options.int32("shardSize", 1, kMaxSize);
  spec.shards = options.int32("shards", 1, kMaxSize);
  if (options.has("imageBytes")) spec.image_bytes = options.integer("imageBytes", 0, int64_t{1} << 40);
  spec.threads = options.int32("threads", 1, 4096);
  spec.isa = options.has("isa") ? isa_from_name(options.string("isa"), "isa") : isa_in_use();
  if (options.has("precision")) spec.precision = precision_of(options.string("precision"));
  if (options.has("candidates")) {
    const Napi::Object forced = options.value("candidates").As<Napi::Object>();
    const Napi::Array names = forced.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string op = names.Get(i).ToString();
      spec.candidates[op] = forced.Get(op).ToString();
    }
  }
  if (options.has("fuse")) spec.fuse = options.boolean("fuse");
  if (options.has("timeSteps")) spec.time_steps = options.boolean("timeSteps");
  if (options.has("labelSmoothing")) spec.label_smoothing = static_cast<float>(options.number("labelSmoothing"));
  if (options.has("ranks")) spec.ranks = rank_spec(options.object("ranks"));
  if (spec.mode == plan::Mode::kTrain) spec.optimizer = optimizer_spec(options.object("optimizer"));
  return spec;
}

}  // namespace sknet::binding
