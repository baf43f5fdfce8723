// The fusion pass: what one op can do in one pass over memory becomes one layer.
#include "plan/graph.h"

namespace sknet::plan {

namespace {

std::vector<int> count_readers(const Graph& graph) {
  std::vector<int> readers(graph.layers.size(), 0);
  for (const Layer& layer : graph.layers) {
    for (const int input : layer.inputs) {
      if (input >= 0) ++readers[static_cast<size_t>(input)];
    }
  }
  return readers;
}

// The layer at `last` takes over batch_norm layer `norm`, and whatever lies between is gone.
void absorb(Graph& graph, int norm, int last, int residual) {
  Layer& from = graph.layers[static_cast<size_t>(norm)];
  Layer& to = graph.layers[static_cast<size_t>(last)];
  to.spec = from.spec;
  to.inputs = from.inputs;
  to.relu = true;
  to.residual = residual;
  from.removed = true;
}

// The shuffle reads what was to be concatenated first.
void gather_at_once(Graph& graph, int concat, int shuffle) {
  graph.layers[static_cast<size_t>(shuffle)].inputs = graph.layers[static_cast<size_t>(concat)].inputs;
  graph.layers[static_cast<size_t>(concat)].removed = true;
}

}  // namespace

void fuse(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  // A layer that has already absorbed a ReLU is one no more.
  const auto only_read_once = [&](int layer, const char* op) {
    if (layer < 0 || readers[static_cast<size_t>(layer)] != 1) return false;
    const Layer& candidate = graph.layers[static_cast<size_t>(layer)];
    return candidate.spec.op == op && !candidate.relu;
  };
  for (int i = 0; i < static_cast<int>(graph.layers.size()); ++i) {
    if (graph.layers[static_cast<size_t>(i)].spec.op == "channel_shuffle") {
      const int before = graph.layers[static_cast<size_t>(i)].inputs[0];
      if (only_read_once(before, "concat")) gather_at_once(graph, before, i);
    }
    if (graph.layers[static_cast<size_t>(i)].spec.op != "relu") continue;
    const int before = graph.layers[static_cast<size_t>(i)].inputs[0];
    if (only_read_once(before, "batch_norm")) {
      absorb(graph, before, i, kNone);
    } else if (only_read_once(before, "add")) {
      const std::vector<int> terms = graph.layers[static_cast<size_t>(before)].inputs;
      for (int side = 0; side < 2; ++side) {
        if (terms[0] == terms[1] || !only_read_once(terms[static_cast<size_t>(side)], "batch_norm")) continue;
        absorb(graph, terms[static_cast<size_t>(side)], i, terms[static_cast<size_t>(1 - side)]);
        graph.layers[static_cast<size_t>(before)].removed = true;
        break;
      }
    }
  }
}

}  // namespace sknet::plan
