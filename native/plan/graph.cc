#include "plan/graph.h"

#include <unordered_map>

#include "core/error.h"
#include "ops/channel_gather.h"
#include "ops/max_pool.h"
#include "ops/sk_split.h"

namespace sknet::plan {

namespace {

[[noreturn]] void fail(const LayerSpec& layer, const std::string& what) {
  throw Error("ERR_SKNET_MODEL", "layer " + layer.name + " (" + layer.op + "): " + what).with_tensor(layer.name);
}

void expect(bool ok, const LayerSpec& layer, const std::string& what) {
  if (!ok) fail(layer, what);
}

int window_out(const LayerSpec& layer, int size, int kernel, int stride, int padding, int dilation) {
  const int out = conv2d_out_size(size, kernel, stride, padding, dilation);
  expect(out > 0, layer, "the window does not fit an input of " + std::to_string(size));
  return out;
}

class GraphBuilder {
 public:
  explicit GraphBuilder(const PlanSpec& spec) : spec_(spec) {
    graph_.input = {spec.shard_size, spec.height, spec.width, spec.channels};
    check(graph_.input.size() > 0, "ERR_SKNET_MODEL", "the input has no elements");
    check(!spec.layers.empty(), "ERR_SKNET_MODEL", "the model has no layers");
  }

  Graph build() {
    index_["input"] = kNetworkInput;
    for (const LayerSpec& layer : spec_.layers) add(layer);
    lay_out();
    return std::move(graph_);
  }

 private:
  void add(const LayerSpec& spec) {
    expect(!index_.contains(spec.name), spec, "the name is taken");
    Layer layer{.spec = spec};
    for (const std::string& input : spec.inputs) {
      const auto found = index_.find(input);
      expect(found != index_.end(), spec, "its input '" + input + "' does not come before it");
      layer.inputs.push_back(found->second);
    }
    const bool two = spec.op == "add" || spec.op == "channel_scale";
    if (spec.op == "concat") {
      expect(layer.inputs.size() >= 2 && layer.inputs.size() <= kMaxSources, spec, "takes 2 to " + std::to_string(kMaxSources) + " inputs");
    } else {
      expect(layer.inputs.size() == (two ? 2 : 1), spec, two ? "takes two inputs" : "takes one input");
    }
    layer.shape = infer(spec, layer);
    index_[spec.name] = static_cast<int>(graph_.layers.size());
    graph_.layers.push_back(std::move(layer));
  }

  Shape infer(const LayerSpec& s, const Layer& layer) {
    const Shape x = graph_.shape_of(layer.inputs[0]);
    if (s.op == "conv2d") return conv2d(s, x);
    if (s.op == "batch_norm") return batch_norm(s.name, x);
    if (s.op == "relu" || s.op == "sigmoid") return x;
    if (s.op == "global_avg_pool") return {x.n, 1, 1, x.c};
    if (s.op == "max_pool") {
      expect(s.kernel > 0 && s.stride > 0 && s.padding >= 0 && 2 * s.padding <= s.kernel, s, "padding is more than half the kernel");
      return {x.n, pooled(s, x.h), pooled(s, x.w), x.c};
    }
    if (s.op == "concat") return concat(s, layer);
    if (s.op == "channel_slice") {
      expect(s.out > 0 && s.first >= 0 && s.first + s.out <= x.c, s, "the slice reaches beyond the channels");
      return {x.n, x.h, x.w, s.out};
    }
    if (s.op == "channel_shuffle") {
      expect(s.groups > 0 && x.c % s.groups == 0, s, "groups do not divide the channels");
      return x;
    }
    if (s.op == "add") {
      expect(x == graph_.shape_of(layer.inputs[1]), s, "its inputs differ in shape");
      return x;
    }
    if (s.op == "channel_scale") {
      expect(graph_.shape_of(layer.inputs[1]) == Shape{x.n, 1, 1, x.c}, s, "its gate is not [n, 1, 1, c]");
      return x;
    }
    if (s.op == "linear") {
      expect(x.h == 1 && x.w == 1 && s.out > 0, s, "its input is not [n, 1, 1, c]");
      parameter(s.name + ".weight", {s.out, x.c});
      if (s.bias) parameter(s.name + ".bias", {s.out});
      return {x.n, 1, 1, s.out};
    }
    if (s.op == "sk_unit") return sk_unit(s, x);
    fail(s, "unknown op");
  }

  int pooled(const LayerSpec& s, int size) {
    const int out = max_pool_out_size(size, s.kernel, s.stride, s.padding, s.ceil);
    expect(out > 0, s, "the window does not fit an input of " + std::to_string(size));
    return out;
  }

  Shape concat(const LayerSpec& s, const Layer& layer) {
    Shape y = graph_.shape_of(layer.inputs[0]);
    for (size_t i = 1; i < layer.inputs.size(); ++i) {
      const Shape& x = graph_.shape_of(layer.inputs[i]);
      expect(x.h == y.h && x.w == y.w, s, "its inputs differ in height or width");
      y.c += x.c;
    }
    return y;
  }

  Shape conv2d(const LayerSpec& s, const Shape& x) {
    expect(s.out > 0 && s.kernel > 0 && s.stride > 0 && s.padding >= 0 && s.dilation > 0 && s.groups > 0, s, "a size is not positive");
    expect(x.c % s.groups == 0 && s.out % s.groups == 0, s, "groups do not divide the channels");
    parameter(s.name + ".weight", {s.out, x.c / s.groups, s.kernel, s.kernel});
    if (s.bias) parameter(s.name + ".bias", {s.out});
    return {x.n, window_out(s, x.h, s.kernel, s.stride, s.padding, s.dilation),
            window_out(s, x.w, s.kernel, s.stride, s.padding, s.dilation), s.out};
  }

  Shape batch_norm(const std::string& name, const Shape& x) {
    parameter(name + ".weight", {x.c});
    parameter(name + ".bias", {x.c});
    buffer(name + ".running_mean", {x.c});
    buffer(name + ".running_var", {x.c});
    return x;
  }

  Shape sk_unit(const LayerSpec& s, const Shape& x) {
    expect(!s.branches.empty() && s.branches.size() <= kMaxBranches, s, "has 1 to " + std::to_string(kMaxBranches) + " branches");
    const int shares = s.split_input ? static_cast<int>(s.branches.size()) : 1;
    expect(x.c % shares == 0, s, "its branches cannot share the input's channels evenly");
    Shape y;
    for (size_t m = 0; m < s.branches.size(); ++m) {
      const BranchSpec& b = s.branches[m];
      expect(b.kernel % 2 == 1, s, "a branch's kernel is even");
      LayerSpec conv{
          .op = "conv2d", .name = s.name + ".paths." + std::to_string(m) + ".conv", .out = s.out, .kernel = b.kernel, .stride = s.stride};
      conv.padding = b.dilation * (b.kernel - 1) / 2;
      conv.dilation = b.dilation;
      conv.groups = b.groups;
      y = conv2d(conv, {x.n, x.h, x.w, x.c / shares});
      batch_norm(s.name + ".paths." + std::to_string(m) + ".bn", y);
    }
    if (s.attention_width > 0) {
      const int d = s.attention_width;
      parameter(s.name + ".attn.fc_reduce.weight", {d, s.out, 1, 1});
      batch_norm(s.name + ".attn.bn", {x.n, 1, 1, d});
      parameter(s.name + ".attn.fc_select.weight", {static_cast<int>(s.branches.size()) * s.out, d, 1, 1});
    }
    return y;
  }

  void parameter(const std::string& name, std::vector<int> shape) { graph_.tensors.push_back({name, std::move(shape), false, 0}); }
  void buffer(const std::string& name, std::vector<int> shape) { graph_.tensors.push_back({name, std::move(shape), true, 0}); }

  // Parameters, then buffers, each on a cache line of its own.
  void lay_out() {
    int64_t at = 0;
    for (const bool buffers : {false, true}) {
      for (Tensor& t : graph_.tensors) {
        if (t.buffer != buffers) continue;
        t.offset = at;
        at += (t.size() + 15) / 16 * 16;
      }
      (buffers ? graph_.tensor_floats : graph_.parameter_floats) = at;
    }
  }

  const PlanSpec& spec_;
  Graph graph_;
  std::unordered_map<std::string, int> index_;
};

}  // namespace

const Tensor& Graph::tensor(const std::string& name) const {
  for (const Tensor& t : tensors) {
    if (t.name == name) return t;
  }
  throw Error("ERR_SKNET_WEIGHTS", "the model has no tensor '" + name + "'").with_tensor(name);
}

Graph build_graph(const PlanSpec& spec) { return GraphBuilder(spec).build(); }

}  // namespace sknet::plan
