#include "plugin/wire.h"

#include <cstdio>
#include <deque>
#include <new>
#include <string>
#include <vector>

namespace sknet::plugin {

struct SpecOnWire::Storage {
  std::vector<LayerData> layers;
  std::vector<CandidateData> candidates;
  std::deque<std::vector<const char*>> inputs;
  std::deque<std::vector<BranchData>> branches;
};

SpecOnWire::~SpecOnWire() = default;

// Structured bindings name every field, so that one that is added does not compile until it travels too.

SpecOnWire::SpecOnWire(const plan::PlanSpec& spec) : storage_(std::make_unique<Storage>()) {
  Storage& s = *storage_;
  for (const plan::LayerSpec& layer : spec.layers) {
    const auto& [op, name, inputs, out, kernel, stride, padding, dilation, groups, bias, eps, momentum, branches, attention_width,
                 split_input, ceil, first] = layer;
    std::vector<const char*>& names = s.inputs.emplace_back();
    for (const std::string& input : inputs) names.push_back(input.c_str());
    std::vector<BranchData>& data = s.branches.emplace_back();
    for (const plan::BranchSpec& b : branches) data.push_back({b.kernel, b.dilation, b.groups});
    s.layers.push_back({.op = op.c_str(),
                        .name = name.c_str(),
                        .inputs = names.data(),
                        .branches = data.data(),
                        .input_count = static_cast<int32_t>(names.size()),
                        .branch_count = static_cast<int32_t>(data.size()),
                        .out = out,
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding,
                        .dilation = dilation,
                        .groups = groups,
                        .bias = bias ? 1 : 0,
                        .attention_width = attention_width,
                        .split_input = split_input ? 1 : 0,
                        .ceil = ceil ? 1 : 0,
                        .first = first,
                        .eps = eps,
                        .momentum = momentum});
  }
  // Threads and instruction set are the CPU's own business.
  const auto& [layers, height, width, channels, mode, shard_size, shards, threads, image_bytes, isa, precision, candidates, fuse,
               time_steps, label_smoothing, optimizer, ranks] = spec;
  const auto& [momentum, nesterov, weight_decay, lr_scale, trust, grad_clip, ema_decay] = optimizer;
  for (const auto& [op, name] : candidates) s.candidates.push_back({op.c_str(), name.c_str()});
  data_ = {.layers = s.layers.data(),
           .candidates = s.candidates.data(),
           .weight_decay = weight_decay.data(),
           .lr_scale = lr_scale.data(),
           .rank_id = ranks.id.empty() ? nullptr : ranks.id.data(),
           .layer_count = static_cast<int32_t>(s.layers.size()),
           .candidate_count = static_cast<int32_t>(s.candidates.size()),
           .weight_decay_count = static_cast<int32_t>(weight_decay.size()),
           .lr_scale_count = static_cast<int32_t>(lr_scale.size()),
           .height = height,
           .width = width,
           .channels = channels,
           .mode = static_cast<int32_t>(mode),
           .shard_size = shard_size,
           .shards = shards,
           .precision = static_cast<int32_t>(precision),
           .fuse = fuse ? 1 : 0,
           .time_steps = time_steps ? 1 : 0,
           .nesterov = nesterov ? 1 : 0,
           .ranks = ranks.count,
           .rank = ranks.rank,
           .label_smoothing = label_smoothing,
           .momentum = momentum,
           .image_bytes = image_bytes,
           .grad_clip = grad_clip,
           .ema_decay = ema_decay,
           .trust = trust};
}

plan::PlanSpec spec_from(const SpecData& data) {
  plan::PlanSpec spec;
  for (int i = 0; i < data.layer_count; ++i) {
    const LayerData& from = data.layers[i];
    plan::LayerSpec layer{.op = from.op, .name = from.name, .inputs = {from.inputs, from.inputs + from.input_count}};
    layer.out = from.out;
    layer.kernel = from.kernel;
    layer.stride = from.stride;
    layer.padding = from.padding;
    layer.dilation = from.dilation;
    layer.groups = from.groups;
    layer.bias = from.bias != 0;
    layer.eps = from.eps;
    layer.momentum = from.momentum;
    layer.attention_width = from.attention_width;
    layer.split_input = from.split_input != 0;
    layer.ceil = from.ceil != 0;
    layer.first = from.first;
    for (int b = 0; b < from.branch_count; ++b) {
      layer.branches.push_back({from.branches[b].kernel, from.branches[b].dilation, from.branches[b].groups});
    }
    spec.layers.push_back(std::move(layer));
  }
  for (int i = 0; i < data.candidate_count; ++i) spec.candidates[data.candidates[i].op] = data.candidates[i].name;
  spec.height = data.height;
  spec.width = data.width;
  spec.channels = data.channels;
  spec.mode = static_cast<plan::Mode>(data.mode);
  spec.shard_size = data.shard_size;
  spec.shards = data.shards;
  spec.image_bytes = data.image_bytes;
  spec.precision = static_cast<Precision>(data.precision);
  spec.fuse = data.fuse != 0;
  spec.time_steps = data.time_steps != 0;
  spec.label_smoothing = data.label_smoothing;
  spec.optimizer = {.momentum = data.momentum,
                    .nesterov = data.nesterov != 0,
                    .weight_decay = {data.weight_decay, data.weight_decay + data.weight_decay_count},
                    .lr_scale = {data.lr_scale, data.lr_scale + data.lr_scale_count},
                    .trust = data.trust,
                    .grad_clip = data.grad_clip,
                    .ema_decay = data.ema_decay};
  spec.ranks = {data.ranks, data.rank, data.rank_id == nullptr ? std::string() : std::string(data.rank_id, kRankIdBytes)};
  return spec;
}

namespace {

template <size_t kSize>
void put(char (&to)[kSize], const std::string& text) {
  std::snprintf(to, kSize, "%s", text.c_str());
}

}  // namespace

void describe_exception(Failure& failure) {
  failure = {};
  try {
    throw;
  } catch (const Error& e) {
    put(failure.code, e.code);
    put(failure.option, e.option);
    put(failure.path, e.path);
    put(failure.tensor, e.tensor);
    put(failure.got, e.got);
    put(failure.expected, e.expected);
    put(failure.message, e.what());
  } catch (const std::bad_alloc&) {
    put(failure.code, "ERR_SKNET_OOM");
    put(failure.message, "out of memory");
  } catch (const std::exception& e) {
    put(failure.code, "ERR_SKNET_NATIVE");
    put(failure.message, e.what());
  } catch (...) {
    put(failure.code, "ERR_SKNET_NATIVE");
    put(failure.message, "unknown native exception");
  }
}

void throw_failure(const Failure& failure) {
  Error error(failure.code, failure.message);
  error.option = failure.option;
  error.path = failure.path;
  error.tensor = failure.tensor;
  error.got = failure.got;
  error.expected = failure.expected;
  throw error;
}

}  // namespace sknet::plugin
