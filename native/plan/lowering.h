// From layers to steps. native/plan/lower/<layer>.cc says for each kind of layer which steps its forward and backward are; this class
// holds what they share: values, gradients, and the recording of steps.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ops/registry.h"
#include "plan/choose.h"
#include "plan/graph.h"
#include "plan/step.h"

namespace sknet::plan {

// What a layer's forward keeps for its backward; what `values` mean is the layer's own business.
struct Saved {
  Ref output;
  std::vector<Ref> values;
};

class Lowering {
 public:
  Lowering(const PlanSpec& spec, const Graph& graph, const OpTable& table);

  // Forward for all layers, the loss (but in block mode), and in a mode with gradients backward from the gradient of the output.
  void run();

  const PlanSpec& spec;
  const Graph& graph;
  const OpTable& table;

  std::vector<Step> steps;
  std::vector<Value> values;
  Ref input;            // the network's input
  Ref output_gradient;  // of the last layer's output; none in inference
  Ref input_gradient;   // block mode only
  bool training() const { return spec.mode != Mode::kInfer; }

  // ---- for lower/*.cc
  Ref new_value(int64_t floats);
  Ref output_of(int layer) const { return layer == kNetworkInput ? input : saved(layer).output; }
  Saved& saved(int layer) { return saved_[static_cast<size_t>(layer)]; }
  const Saved& saved(int layer) const { return saved_[static_cast<size_t>(layer)]; }
  Ref weight(const std::string& name) const { return {Region::kValues, graph.tensor(name).offset}; }
  // Where a parameter's gradient, or the batch statistic behind a buffer, is left.
  Ref result(const std::string& name) const { return {Region::kResults, graph.tensor(name).offset}; }

  // The gradient of a layer's output, complete when its backward runs. None where nobody needed the output.
  Ref gradient(int layer) const;
  bool needs_gradient(int layer) const { return layer != kNetworkInput || spec.mode == Mode::kBlock; }
  // Where a consumer's backward shall leave (or add) its share of the gradient of `layer`'s output.
  struct Target {
    Ref ref;
    bool accumulate;
  };
  Target gradient_target(int layer);
  // The consumer's share is the memory `ref`, which is read-only from here on where others read it too.
  void share_gradient(int layer, Ref ref);
  // Writes dx of an op that cannot accumulate itself: into the target where it is fresh, else through a temporary and an add.
  template <class Emit>
  void emit_gradient(int layer, const std::string& name, const Emit& emit) {
    const Target target = gradient_target(layer);
    if (!target.accumulate) return emit(target.ref);
    const Ref share = new_value(graph.shape_of(layer).size());
    emit(share);
    add_into(target.ref, share, graph.shape_of(layer).size(), name);
  }
  void add_into(Ref target, Ref share, int64_t size, const std::string& name);

  // Records one op. args(memory) -> the candidate's argument struct; it is called once while recording and once when addresses exist.
  template <class C, class Problem, class Args>
  void step(const std::string& op, const std::string& layer, const std::vector<const C*>& candidates, const Problem& problem, int64_t flops,
            const Args& args) {
    Step s{.op = op, .layer = layer, .phase = phase_, .flops = flops};
    const C* chosen = &choose(candidates, problem, op, spec.candidates, &s.refused);
    s.candidate = chosen->name;
    s.workspace = chosen->workspace == nullptr ? 0 : chosen->workspace(problem);
    s.scratch = chosen->scratch == nullptr ? 0 : chosen->scratch(problem);
    s.bind = [chosen, problem, args](const Memory& memory) -> std::function<void(const Exec&)> {
      return [chosen, problem, bound = args(memory)](const Exec& exec) { chosen->run(problem, bound, exec); };
    };
    record(std::move(s));
  }

 private:
  void record(Step step);
  void set_phase(Phase phase) { phase_ = phase; }
  Value& value_of(Ref ref) { return values[static_cast<size_t>(ref.at)]; }
  void forward(int layer);
  void backward(int layer);

  struct Gradient {
    Ref ref;
    bool owned = false;  // nobody else reads this memory, so it may be added to
  };
  Gradient& gradient_slot(int layer) { return layer == kNetworkInput ? input_slot_ : gradients_[static_cast<size_t>(layer)]; }

  std::vector<Saved> saved_;
  std::vector<Gradient> gradients_;
  Gradient input_slot_;
  Phase phase_ = Phase::kForward;
};

}  // namespace sknet::plan
