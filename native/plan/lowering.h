// From layers to steps. native/plan/lower/<layer>.cc says for each kind of layer which steps its forward and backward are; this class
// holds what they share: values, gradients, the batch norms that other ops work for, and the recording of steps.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ops/layout.h"
#include "ops/registry.h"
#include "plan/choose.h"
#include "plan/graph.h"
#include "plan/step.h"

namespace sknet::plan {

// The branches of an SK unit, to make its output of (ops/selection.h).
struct BranchRefs {
  int branches = 0;
  Ref u[kMaxBranches], scale[kMaxBranches], shift[kMaxBranches];
  Ref attention;
  std::string note;  // why whoever reads the unit's output makes it (StepInfo)
};

// How a layer's output is read: as it lies at `ref`, through a batch norm that nobody applied, or made of the branches of an SK unit that
// nobody put together.
struct Reading {
  Ref ref;
  Ref scale, shift;  // none: as it is
  bool relu = false;
  std::shared_ptr<const BranchRefs> unit;  // null: not of branches
  bool through_norm() const { return scale.region != Region::kNone; }
  int branches() const { return unit == nullptr ? 0 : unit->branches; }
};

// How the gradient of a layer's output is read: as it lies, or through the backward of the batch norm layer `norm`.
struct GradientReading {
  Ref ref;
  int norm = kNone;
};

// A batch norm layer (normalize.h): its tensors, and per-channel values that its neighbours write and read.
struct Norm {
  Ref u;  // its input
  Ref gamma, beta, running_mean, running_var, dgamma, dbeta, batch_mean, batch_var;
  Ref mean, invstd, scale, shift, gain, slope, offset;
  float eps = 0;
  bool relu = false;
  Ref output;               // where a residual was added
  bool statistics = false;  // known already: the op that wrote u left them
  bool closed = false;      // its gradient is dz already
};

// What a layer's forward keeps for its backward; `kept` is the layer's own business.
struct Saved {
  Reading output;
  std::shared_ptr<void> kept;
  bool stays = false;  // whoever reads the output in backward finds it as forward did
};

class Lowering {
 public:
  Lowering(const PlanSpec& spec, const Graph& graph, const OpTable& table, Chooser& chooser);

  // Forward for all layers, the loss (but in block mode), and in a mode with gradients backward from the gradient of the output.
  void run();

  const PlanSpec& spec;
  const Graph& graph;
  const OpTable& table;
  Chooser& chooser;

  std::vector<Step> steps;
  std::vector<Value> values;
  Ref input;                // the network's input
  bool input_rows = false;  // it is NHWC, not blocked: its readers are convolutions that read it so
  Ref output_gradient;      // of the last layer's output; none in inference
  Ref input_gradient;       // block mode only
  bool training() const { return spec.mode != Mode::kInfer; }

  // ---- for lower/*.cc: values
  int64_t elements(const Shape& shape) const { return shape.rows() * padded_channels(shape.c, table.block); }
  int64_t stored(const Shape& shape) const { return elements(shape) * table.elem_bytes / static_cast<int64_t>(sizeof(float)); }  // floats
  Ref new_value(int64_t floats);
  Ref new_activation(const Shape& shape) { return new_value(stored(shape)); }
  Ref new_channels(int c) { return new_value(padded_channels(c, table.block)); }
  Ref new_doubles(int64_t count) { return new_value(2 * count); }
  const Layer& layer(int index) const { return graph.layers[static_cast<size_t>(index)]; }
  Reading reading_of(int layer) const { return layer == kNetworkInput ? Reading{.ref = input} : saved(layer).output; }
  // For a layer's backward: an output that did not stay is made again before the first who reads it there.
  Reading reading_again(int layer);
  // For a layer that remembers in forward where it will read in backward: the output stays.
  void stay(int layer) {
    if (layer != kNetworkInput) saved(layer).stays = true;
  }
  Saved& saved(int layer) { return saved_[static_cast<size_t>(layer)]; }
  const Saved& saved(int layer) const { return saved_[static_cast<size_t>(layer)]; }
  Ref weight(const std::string& name) const { return {Region::kValues, graph.tensor(name).offset}; }
  // Where a parameter's gradient, or the batch statistic behind a buffer, is left.
  Ref result(const std::string& name) const { return {Region::kResults, graph.tensor(name).offset}; }
  const std::vector<int>& readers_of(int layer) const { return readers_[slot_of(layer)]; }
  // The batch norm that alone reads `layer`'s output as its input, or kNone: ops may work for it.
  int norm_behind(int layer) const;
  Norm& norm(int layer) { return norms_[static_cast<size_t>(layer)]; }
  const Norm& norm(int layer) const { return norms_[static_cast<size_t>(layer)]; }

  // ---- for lower/*.cc: gradients

  // The gradient of a layer's output, complete when its backward runs. None where nobody needed the output.
  GradientReading gradient(int layer) const { return {slot(layer).ref, slot(layer).norm}; }
  bool needs_gradient(int layer) const { return layer != kNetworkInput || spec.mode == Mode::kBlock; }
  // Where a reader's backward shall leave its share of the gradient of `layer`'s output: share + add into ref. close: finish it for the
  // batch norm `layer` (only offered to who can, and only to the last reader); close.add then stands for add.
  struct Target {
    Ref ref, add;
    int close = kNone;
  };
  Target gradient_target(int layer, bool can_close = false);
  // Whether the next share is the last one of a batch norm's gradient, so that who can may close it.
  bool may_close(int layer) const;
  // The reader's share is the memory `ref`, which is read-only from here on where others read it too.
  void share_gradient(int layer, Ref ref);
  // The one share of `layer`'s gradient is `dz`, to be read through the backward of batch norm `norm`.
  void share_through_norm(int layer, Ref dz, int norm);

  // ---- for lower/*.cc: steps

  // Whether a candidate accepts the problem: any, or the one that the spec asks for.
  template <class C, class Problem>
  bool accepts(const std::string& op, const std::vector<const C*>& candidates, const Problem& problem) const {
    std::vector<Refusal> refused;
    return !accepting(candidates, problem, op, spec.candidates, chooser, &refused).empty();
  }
  // The one that would be chosen; null where none accepts.
  template <class C, class Problem>
  const C* candidate(const std::string& op, const std::vector<const C*>& candidates, const Problem& problem) const {
    return find(candidates, problem, op, spec.candidates, chooser).candidate;
  }
  // How long that one takes, where candidates are timed and it could be.
  template <class C, class Problem>
  std::optional<double> seconds(const std::string& op, const std::vector<const C*>& candidates, const Problem& problem) const {
    if (!chooser.measures()) return std::nullopt;
    const Contest contest = contest_of(candidates, problem, op, spec.candidates, chooser, true);
    return contest.trials.empty() ? std::nullopt : std::optional(contest.trials.front().seconds);
  }

  // Records one op. args(memory) -> the candidate's argument struct; it is called once while recording and once when addresses exist.
  // note: StepInfo's.
  template <class C, class Problem, class Args>
  void step(const std::string& op, const std::string& layer, const std::vector<const C*>& candidates, const Problem& problem, int64_t flops,
            const Args& args, const std::string& note = {}) {
    Step s;
    s.info = {.op = op, .layer = layer, .phase = phase_};
    s.info.flops = flops;
    Choice<C> choice = choose(candidates, problem, op, spec.candidates, chooser);
    const C* chosen = choice.candidate;
    s.info.candidate = chosen->name;
    s.info.refused = std::move(choice.contest.refused);
    s.info.trials = std::move(choice.contest.trials);
    s.info.note = note.empty() ? choice.contest.note : note;
    s.workspace = chosen->workspace == nullptr ? 0 : chosen->workspace(problem);
    s.scratch = chosen->scratch == nullptr ? 0 : chosen->scratch(problem);
    s.packed = chosen->packed == nullptr ? 0 : chosen->packed(problem);
    s.bind = [chosen, problem, args](const Memory& memory) {
      const auto bound = args(memory);
      Calls calls{.run = [chosen, problem, bound](const Exec& exec) { chosen->run(problem, bound, exec); }};
      if (chosen->pack != nullptr) calls.pack = [chosen, problem, bound](const Exec& exec) { chosen->pack(problem, bound, exec); };
      return calls;
    };
    record(std::move(s));
  }

 private:
  void record(Step step);
  void find_readers();
  void set_phase(Phase phase) { phase_ = phase; }
  Value& value_of(Ref ref) { return values[static_cast<size_t>(ref.at)]; }
  void forward(int layer);
  void backward(int layer);

  struct Gradient {
    Ref ref;
    bool owned = false;  // nobody else reads this memory, so it may be added to
    int norm = kNone;
    int shares = 0;  // still to come
  };
  // Lists that begin with the network's input, layer -1.
  static size_t slot_of(int layer) { return static_cast<size_t>(layer) + 1; }
  Gradient& slot(int layer) { return gradients_[slot_of(layer)]; }
  const Gradient& slot(int layer) const { return gradients_[slot_of(layer)]; }

  std::vector<Saved> saved_;
  std::vector<Norm> norms_;
  std::vector<std::vector<int>> readers_;  // [layer + 1]; the network's input first
  std::vector<Gradient> gradients_;        // [layer + 1]
  Phase phase_ = Phase::kForward;
};

}  // namespace sknet::plan
