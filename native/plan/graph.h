// The layer graph: resolved inputs, inferred shapes, the tensors each layer owns. Fusion rewrites it before anything is lowered.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/spec.h"

namespace sknet::plan {

struct Shape {
  int n = 0, h = 0, w = 0, c = 0;  // NHWC
  int64_t size() const { return static_cast<int64_t>(n) * h * w * c; }
  int64_t rows() const { return static_cast<int64_t>(n) * h * w; }
  bool operator==(const Shape&) const = default;
};

constexpr int kNetworkInput = -1;
constexpr int kNone = -2;

struct Layer {
  LayerSpec spec;
  std::vector<int> inputs;  // layer indices, or kNetworkInput
  Shape shape;              // of the output
  bool relu = false;        // batch_norm with the ReLU that follows it (fuse.cc)
  int residual = kNone;     // batch_norm with the addition that follows it
  bool removed = false;     // absorbed by a later layer
};

// A weight or a running statistic. Both live in flat memory at `offset` floats; parameters come first.
struct Tensor {
  std::string name;
  std::vector<int> shape;
  bool buffer = false;
  int64_t offset = 0;
  int64_t size() const {
    int64_t size = 1;
    for (const int d : shape) size *= d;
    return size;
  }
};

struct Graph {
  Shape input;
  std::vector<Layer> layers;
  std::vector<Tensor> tensors;
  int64_t parameter_floats = 0;  // flat memory of the parameters, padding included
  int64_t tensor_floats = 0;     // with the buffers behind them

  const Shape& shape_of(int layer) const { return layer == kNetworkInput ? input : layers[static_cast<size_t>(layer)].shape; }
  int output() const { return static_cast<int>(layers.size()) - 1; }
  // Throws where there is none.
  const Tensor& tensor(const std::string& name) const;
};

// Where in the results region the step's totals are: behind what the tensors leave there, which in inference is nothing.
inline int64_t totals_offset(const PlanSpec& spec, const Graph& graph) { return spec.mode == Mode::kInfer ? 0 : graph.tensor_floats; }

// Throws Error ERR_SKNET_MODEL naming the layer where the list is not a network.
Graph build_graph(const PlanSpec& spec);

// batch_norm + relu, batch_norm + add + relu, and concat + channel_shuffle become one layer, where nobody else reads what lies between.
void fuse(Graph& graph);

}  // namespace sknet::plan
