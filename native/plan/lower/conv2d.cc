// conv2d and linear; a linear layer is a 1x1 convolution of a 1x1 image. In passing they leave the statistics of a batch norm behind them,
// read their input through the one before, close its gradient, and read their own through the one behind (ops/normalize.h); and they make
// the output of an SK unit that they read (ops/selection.h). Where candidates are timed, each of these but the reading of inputs through
// norms only if a pass of its own beside the fastest plain convolution takes longer.
#include "plan/lower/layers.h"
#include "plan/weigh.h"

namespace sknet::plan {

Conv2dProblem conv2d_problem(const Shape& x, const Shape& y, int kernel, int stride, int padding, int dilation, int groups) {
  return {x.n, x.h, x.w, x.c, y.c, kernel, stride, padding, dilation, groups, y.h, y.w};
}

namespace {

Conv2dProblem problem_of(const Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const LayerSpec& s = layer.spec;
  const bool linear = s.op == "linear";
  Conv2dProblem p = conv2d_problem(low.graph.shape_of(layer.inputs[0]), layer.shape, linear ? 1 : s.kernel, linear ? 1 : s.stride,
                                   linear ? 0 : s.padding, linear ? 1 : s.dilation, linear ? 1 : s.groups);
  p.fusion.x_rows = low.input_rows && layer.inputs[0] == kNetworkInput;
  return p;
}

void set_reading(const Reading& x, Conv2dProblem* p) {
  p->fusion.x_norm = x.through_norm();
  p->fusion.x_branches = x.branches();
}

// What the convolution itself does, and making what it reads.
int64_t flops_of(const Conv2dProblem& p) { return 2 * conv2d_macs(p) + 4 * int64_t{p.fusion.x_branches} * p.n * p.h * p.w * p.c; }

bool is_convolution(const Layer& layer) { return layer.spec.op == "conv2d" || layer.spec.op == "linear"; }

bool forward_accepts(const Lowering& low, const Conv2dProblem& p) { return low.accepts("conv2d_forward", low.table.conv2d_forward, p); }
bool weight_accepts(const Lowering& low, const Conv2dProblem& p) {
  return low.accepts("conv2d_backward_weight", low.table.conv2d_backward_weight, p);
}
bool data_accepts(const Lowering& low, const Conv2dProblem& p) {
  return low.accepts("conv2d_backward_data", low.table.conv2d_backward_data, p);
}

BatchNormProblem norm_problem(const Shape& shape) { return {shape.n, shape.h * shape.w, shape.c}; }

std::optional<double> forward_seconds(const Lowering& low, const Conv2dProblem& p) {
  return low.seconds("conv2d_forward", low.table.conv2d_forward, p);
}
std::optional<double> weight_seconds(const Lowering& low, const Conv2dProblem& p) {
  return low.seconds("conv2d_backward_weight", low.table.conv2d_backward_weight, p);
}
std::optional<double> data_seconds(const Lowering& low, const Conv2dProblem& p) {
  return low.seconds("conv2d_backward_data", low.table.conv2d_backward_data, p);
}

// The statistics of `p`'s output, which `p` leaves, or batch_norm_statistics.
Weighing weigh_statistics(const Lowering& low, Conv2dProblem p, const Shape& y) {
  const std::optional<double> passing = forward_seconds(low, p);
  p.fusion.statistics = false;
  return weigh("batch_norm_statistics", {passing},
               {forward_seconds(low, p), low.seconds("batch_norm_statistics", low.table.batch_norm_statistics, norm_problem(y))});
}

// Inference: the norm behind, which `p` applies, or batch_norm_apply.
Weighing weigh_apply(const Lowering& low, Conv2dProblem p, const Shape& y) {
  const std::optional<double> passing = forward_seconds(low, p);
  p.fusion.y_norm = false;
  return weigh("batch_norm_apply", {passing},
               {forward_seconds(low, p), low.seconds("batch_norm_apply", low.table.batch_norm_apply, norm_problem(y))});
}

// The gradient of x, which `p` closes, or batch_norm_close.
Weighing weigh_close(const Lowering& low, Conv2dProblem p, const Shape& x) {
  const std::optional<double> passing = data_seconds(low, p);
  p.fusion.close = false;
  return weigh("batch_norm_close", {passing},
               {data_seconds(low, p), low.seconds("batch_norm_close", low.table.batch_norm_close, norm_problem(x))});
}

// Where nothing was timed: not where a candidate of its own that is faster but plain would have to stand back for one that does something
// in passing.
template <class C>
bool still(const Lowering& low, const std::string& op, const std::vector<const C*>& candidates, const Conv2dProblem& plain,
           const Conv2dProblem& passing) {
  return low.candidate(op, candidates, plain) == low.candidate(op, candidates, passing);
}

// Of a forward that reads x: why it does so, and what else was weighed.
std::string note_of(const Reading& x, const std::string& more) {
  const std::string note = x.unit == nullptr ? "" : x.unit->note;
  return note + (note.empty() || more.empty() ? "" : "; ") + more;
}

bool reads_through_norm(const Lowering& low, int index, int) {
  Conv2dProblem p = problem_of(low, index);
  p.fusion.x_norm = true;
  return forward_accepts(low, p) && weight_accepts(low, p);
}

// Inference: whether the batch norm behind is left to convolution `index`.
struct Joining {
  bool can = false;
  std::string note;
};

Joining joining(const Lowering& low, int index) {
  if (low.training() || low.norm_behind(index) == kNone || !is_convolution(low.layer(index))) return {};
  Conv2dProblem p = problem_of(low, index);
  set_reading(low.reading_of(low.layer(index).inputs[0]), &p);
  p.fusion.y_norm = true;
  if (!forward_accepts(low, p)) return {};
  const Weighing apply = weigh_apply(low, p, low.layer(index).shape);
  return {!apply.apart, apply.note};
}

struct ConvRefs {
  Reading x;
  Ref weight, bias;
};

ConvRefs refs_of(const Lowering& low, int index, const Reading& x) {
  const Layer& layer = low.layer(index);
  const std::string& name = layer.spec.name;
  return {x, low.weight(name + ".weight"), layer.spec.bias ? low.weight(name + ".bias") : Ref{}};
}

void forward(Lowering& low, int index) {
  if (conv2d_joins_norm(low, index)) return;
  const Layer& layer = low.layer(index);
  const ConvRefs refs = refs_of(low, index, low.reading_of(layer.inputs[0]));
  Conv2dProblem p = problem_of(low, index);
  set_reading(refs.x, &p);
  const Ref y = low.new_activation(layer.shape);
  low.saved(index).output = {.ref = y};
  const int behind = low.training() ? low.norm_behind(index) : kNone;
  p.fusion.statistics = behind != kNone;
  const bool can = behind != kNone && forward_accepts(low, p);
  const Weighing statistics = can ? weigh_statistics(low, p, layer.shape) : Weighing{};
  if (!can || statistics.apart) {
    p.fusion.statistics = false;
    const std::string note = low.training() ? statistics.note : joining(low, index).note;
    low.step(
        "conv2d_forward", layer.spec.name, low.table.conv2d_forward, p, flops_of(p),
        [=](const Memory& at) {
          return Conv2dForwardArgs{at(refs.x.ref), normalize(at, refs.x), at(refs.weight), at(refs.bias), at(y), {}, {},
                                   nullptr,        selection(at, refs.x)};
        },
        note_of(refs.x, note));
    return;
  }
  const Layer& reader = low.layer(behind);
  Norm& norm = low.norm(behind) = make_norm(low, reader.spec.name, reader.shape.c, reader.spec.eps);
  norm.statistics = true;
  low.step(
      "conv2d_forward", layer.spec.name, low.table.conv2d_forward, p, flops_of(p),
      [=, norm = norm](const Memory& at) {
        return Conv2dForwardArgs{
            at(refs.x.ref), normalize(at, refs.x), at(refs.weight), at(refs.bias), at(y), norm_statistics(at, norm), {},
            nullptr,        selection(at, refs.x)};
      },
      note_of(refs.x, statistics.note));
}

void backward(Lowering& low, int index) {
  const Layer& layer = low.layer(index);
  const std::string& name = layer.spec.name;
  const int input = layer.inputs[0];
  const ConvRefs refs = refs_of(low, index, low.reading_again(input));
  const GradientReading dy = low.gradient(index);
  const Norm behind = dy.norm == kNone ? Norm{} : low.norm(dy.norm);
  const auto dy_norm = [=](const Memory& at) { return dy.norm == kNone ? NormGradient{} : norm_gradient(at, behind); };
  Conv2dProblem p = problem_of(low, index);
  p.fusion.dy_norm = dy.norm != kNone;
  set_reading(refs.x, &p);
  const Ref dweight = low.result(name + ".weight"), dbias = layer.spec.bias ? low.result(name + ".bias") : Ref{};
  low.step("conv2d_backward_weight", name, low.table.conv2d_backward_weight, p, flops_of(p), [=](const Memory& at) {
    return Conv2dBackwardWeightArgs{at(refs.x.ref), normalize(at, refs.x), at(dy.ref), dy_norm(at), at(dweight),
                                    at(dbias),      selection(at, refs.x)};
  });
  if (!low.needs_gradient(input)) return;
  set_reading({}, &p);
  p.fusion.x_rows = false;
  p.fusion.close = true;
  const bool can = low.may_close(input) && data_accepts(low, p);
  const Weighing close = can ? weigh_close(low, p, low.graph.shape_of(input)) : Weighing{};
  const Lowering::Target dx = low.gradient_target(input, can && !close.apart);
  p.fusion.close = dx.close != kNone;
  Norm before{};
  if (dx.close != kNone) {
    make_norm_gradient(low, low.norm(dx.close), low.layer(dx.close).shape.c);
    before = low.norm(dx.close);
  }
  low.step(
      "conv2d_backward_data", name, low.table.conv2d_backward_data, p, 2 * conv2d_macs(p),
      [=](const Memory& at) {
        const bool closes = dx.close != kNone;
        return Conv2dBackwardDataArgs{at(dy.ref),
                                      dy_norm(at),
                                      at(refs.weight),
                                      at(dx.ref),
                                      closes ? nullptr : at(dx.add),
                                      closes ? norm_close(at, before, dx.add) : NormClose{}};
      },
      close.note);
}

}  // namespace

bool reads_rows(const Lowering& low) {
  // More channels than a block holds are read faster blocked.
  if (!low.spec.fuse || low.graph.input.c >= padded_channels(1, low.table.block) || low.readers_of(kNetworkInput).empty()) return false;
  for (const int reader : low.readers_of(kNetworkInput)) {
    if (low.layer(reader).spec.op != "conv2d") return false;
    Conv2dProblem p = problem_of(low, reader);
    p.fusion.x_rows = true;
    if (!forward_accepts(low, p) || !weight_accepts(low, p)) return false;
  }
  return true;
}

bool conv2d_joins_norm(const Lowering& low, int index) { return joining(low, index).can; }

void conv2d_for_norm(Lowering& low, int index, int norm_layer, Ref residual, Ref y) {
  const ConvRefs refs = refs_of(low, index, low.reading_of(low.layer(index).inputs[0]));
  Conv2dProblem p = problem_of(low, index);
  set_reading(refs.x, &p);
  p.fusion.y_norm = true;
  const Norm norm = low.norm(norm_layer);
  low.step(
      "conv2d_forward", low.layer(index).spec.name, low.table.conv2d_forward, p, flops_of(p),
      [=](const Memory& at) {
        return Conv2dForwardArgs{
            at(refs.x.ref),       {}, at(refs.weight), at(refs.bias), at(y), {}, {at(norm.scale), at(norm.shift), norm.relu}, at(residual),
            selection(at, refs.x)};
      },
      note_of(refs.x, joining(low, index).note));
}

bool conv2d_reads_gradient_through_norm(const Lowering& low, int index, std::string* note) {
  if (low.norm_behind(index) == kNone || !is_convolution(low.layer(index))) return false;
  const int input = low.layer(index).inputs[0];
  Conv2dProblem weight = problem_of(low, index), data = weight;
  set_reading(low.reading_of(input), &weight);
  data.fusion.x_rows = false;
  const bool needs_data = low.needs_gradient(input);
  Conv2dProblem weight_passing = weight, data_passing = data;
  weight_passing.fusion.dy_norm = data_passing.fusion.dy_norm = true;
  if (!weight_accepts(low, weight_passing) || (needs_data && !data_accepts(low, data_passing))) return false;
  const std::optional<double> none = 0;
  const Weighing gradient =
      weigh("batch_norm_gradient", {weight_seconds(low, weight_passing), needs_data ? data_seconds(low, data_passing) : none},
            {weight_seconds(low, weight), needs_data ? data_seconds(low, data) : none,
             low.seconds("batch_norm_gradient", low.table.batch_norm_gradient, norm_problem(low.layer(index).shape))});
  *note = gradient.note;
  if (!gradient.note.empty()) return !gradient.apart;
  return still(low, "conv2d_backward_weight", low.table.conv2d_backward_weight, weight, weight_passing) &&
         (!needs_data || still(low, "conv2d_backward_data", low.table.conv2d_backward_data, data, data_passing));
}

bool conv2d_reads_branches(const Lowering& low, int unit, const SkSelectProblem& select, std::string* note) {
  const std::vector<int>& readers = low.readers_of(unit);
  if (!low.spec.fuse || readers.size() != 1 || !is_convolution(low.layer(readers[0]))) return false;
  const int index = readers[0];
  const bool training = low.training();
  const Conv2dProblem weight = problem_of(low, index);
  Conv2dProblem forward = weight;
  // What it does for the norm behind it either way.
  (training ? forward.fusion.statistics : forward.fusion.y_norm) = low.norm_behind(index) != kNone;
  Conv2dProblem forward_passing = forward, weight_passing = weight;
  forward_passing.fusion.x_branches = weight_passing.fusion.x_branches = select.branches;
  if (!forward_accepts(low, forward_passing) || (training && !weight_accepts(low, weight_passing))) return false;
  const std::optional<double> none = 0;
  const std::optional<double> pass = low.seconds("sk_select_forward", low.table.sk_select_forward, select);
  const Weighing weighing =
      weigh("sk_select_forward", {forward_seconds(low, forward_passing), training ? weight_seconds(low, weight_passing) : none},
            {pass, forward_seconds(low, forward), training ? weight_seconds(low, weight) : none,
             training && low.table.spare_memory ? pass : none});
  *note = weighing.note;
  if (!weighing.note.empty()) return !weighing.apart;
  return still(low, "conv2d_forward", low.table.conv2d_forward, forward, forward_passing) &&
         (!training || still(low, "conv2d_backward_weight", low.table.conv2d_backward_weight, weight, weight_passing));
}

const LayerLowering conv2d_lowering{"conv2d", forward, backward, reads_through_norm};
const LayerLowering linear_lowering{"linear", forward, backward, reads_through_norm};

}  // namespace sknet::plan
