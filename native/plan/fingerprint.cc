#include "plan/fingerprint.h"

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace sknet::plan {

namespace {

// FNV-1a.
class Hash {
 public:
  template <class... Fields>
  void add(const Fields&... fields) {
    (field(fields), ...);
  }
  uint64_t value() const { return value_; }

 private:
  void bytes(const void* from, size_t count) {
    const unsigned char* p = static_cast<const unsigned char*>(from);
    for (size_t i = 0; i < count; ++i) value_ = (value_ ^ p[i]) * 0x100000001b3;
  }
  template <class T>
  void field(const T& v) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes(&v, sizeof(v));
  }
  void field(const std::string& text) {
    field(text.size());
    bytes(text.data(), text.size());
  }
  void field(const BranchSpec& branch) {
    const auto& [kernel, dilation, groups] = branch;
    add(kernel, dilation, groups);
  }
  template <class T>
  void field(const std::vector<T>& list) {
    field(list.size());
    for (const T& each : list) field(each);
  }

  uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace

// Structured bindings name every field, so that one that is added does not compile until somebody decides whether it counts.
uint64_t fingerprint(const PlanSpec& spec) {
  Hash hash;
  const auto& [layers, height, width, channels, mode, shard_size, shards, threads, image_bytes, isa, precision, candidates, fuse,
               time_steps, label_smoothing, optimizer, ranks] = spec;
  for (const LayerSpec& layer : layers) {
    const auto& [op, name, inputs, out, kernel, stride, padding, dilation, groups, bias, eps, momentum, branches, attention_width,
                 split_input, ceil, first] = layer;
    hash.add(op, name, inputs, out, kernel, stride, padding, dilation, groups, bias, eps, momentum, branches, attention_width, split_input,
             ceil, first);
  }
  const auto& [momentum, nesterov, weight_decay, lr_scale, trust, grad_clip, ema_decay] = optimizer;
  hash.add(height, width, channels, mode, shard_size, shards, precision, label_smoothing, momentum, nesterov, weight_decay, lr_scale, trust,
           grad_clip, ema_decay, ranks.count);
  return hash.value();
}

}  // namespace sknet::plan
