// Operands for trials: everything that a problem can be given, so that trials read no less than a step does. What a problem leaves open is
// as in a bottleneck: no bias, a share of the gradient to be added, a residual before the ReLU. Overloads by the type of the arguments.
#pragma once

#include "cuda/tuning/scratch.h"
#include "ops/registry.h"

namespace sknet::cuda {

inline int64_t input_rows_of(const Conv2dProblem& p) { return static_cast<int64_t>(p.n) * p.h * p.w; }
inline int64_t output_rows_of(const Conv2dProblem& p) { return static_cast<int64_t>(p.n) * p.oh * p.ow; }
inline int64_t weights_of(const Conv2dProblem& p) { return static_cast<int64_t>(p.out) * (p.c / p.groups) * p.kernel * p.kernel; }

inline Normalize make_normalize(Scratch& s, int c) { return {s.channels(c), s.channels(c), true}; }
inline NormStatistics make_statistics(Scratch& s, int c) {
  return {s.channels(c), s.channels(c), 1e-5f, s.channels(c), s.channels(c), s.channels(c), s.channels(c), s.channels(c), s.channels(c)};
}
inline NormClose make_close(Scratch& s, int64_t rows, int c) {
  return {s.activation(rows, c), true,          s.activation(rows, c), s.activation(rows, c), s.channels(c), s.channels(c), s.channels(c),
          s.channels(c),         s.channels(c), s.channels(c),         s.channels(c),         s.channels(c), s.channels(c), s.channels(c)};
}
inline NormGradient make_gradient(Scratch& s, int64_t rows, int c) {
  return {s.activation(rows, c), s.channels(c), s.channels(c), s.channels(c), s.channels(c)};
}
inline Selection make_selection(Scratch& s, int branches, int64_t rows, int images, int c) {
  Selection selection;
  for (int m = 0; m < branches; ++m) {
    selection.u[m] = s.activation(rows, c);
    selection.scale[m] = s.channels(c);
    selection.shift[m] = s.channels(c);
  }
  selection.attention = s.floats(int64_t{branches} * images * padded_channels(c, kRows));
  return selection;
}
inline Selection make_selection(Scratch& s, const Conv2dProblem& p) {
  return p.fusion.x_branches > 0 ? make_selection(s, p.fusion.x_branches, input_rows_of(p), p.n, p.c) : Selection{};
}
inline const void* make_input(Scratch& s, const Conv2dProblem& p) {
  if (p.fusion.x_branches > 0) return nullptr;
  return p.fusion.x_rows ? s.floats(input_rows_of(p) * p.c) : s.activation(input_rows_of(p), p.c);
}

inline void make_operands(Scratch& s, const Conv2dProblem& p, Conv2dForwardArgs* a) {
  *a = {
      .x = make_input(s, p), .x_norm = {}, .weight = s.floats(weights_of(p)), .bias = nullptr, .y = s.activation(output_rows_of(p), p.out)};
  if (p.fusion.x_norm) a->x_norm = make_normalize(s, p.c);
  a->selection = make_selection(s, p);
  if (p.fusion.statistics) a->statistics = make_statistics(s, p.out);
  if (!p.fusion.y_norm) return;
  a->y_norm = make_normalize(s, p.out);
  a->residual = s.activation(output_rows_of(p), p.out);
}

inline void make_operands(Scratch& s, const Conv2dProblem& p, Conv2dBackwardDataArgs* a) {
  *a = {.dy = s.activation(output_rows_of(p), p.out),
        .dy_norm = {},
        .weight = s.floats(weights_of(p)),
        .dx = s.activation(input_rows_of(p), p.c)};
  if (p.fusion.dy_norm) a->dy_norm = make_gradient(s, output_rows_of(p), p.out);
  if (p.fusion.close) {
    a->close = make_close(s, input_rows_of(p), p.c);
  } else {
    a->add = s.activation(input_rows_of(p), p.c);
  }
}

inline void make_operands(Scratch& s, const Conv2dProblem& p, Conv2dBackwardWeightArgs* a) {
  *a = {
      .x = make_input(s, p), .x_norm = {}, .dy = s.activation(output_rows_of(p), p.out), .dy_norm = {}, .dweight = s.floats(weights_of(p))};
  if (p.fusion.x_norm) a->x_norm = make_normalize(s, p.c);
  a->selection = make_selection(s, p);
  if (p.fusion.dy_norm) a->dy_norm = make_gradient(s, output_rows_of(p), p.out);
}

inline void make_operands(Scratch& s, const SkSplitProblem& p, SkSplitForwardArgs* a) {
  const Conv2dProblem& conv = p.conv[0];
  *a = {};
  a->x = s.activation(input_rows_of(conv), conv.c);
  if (p.x_norm) a->x_norm = make_normalize(s, conv.c);
  for (int m = 0; m < p.branches; ++m) {
    a->weight[m] = s.floats(weights_of(p.conv[m]));
    a->u[m] = s.activation(output_rows_of(conv), conv.out);
    a->statistics[m] = make_statistics(s, conv.out);
  }
}

inline void make_operands(Scratch& s, const SkSplitProblem& p, SkSplitBackwardArgs* a) {
  const Conv2dProblem& conv = p.conv[0];
  const int64_t in = input_rows_of(conv), out = output_rows_of(conv);
  const int64_t sums = static_cast<int64_t>(conv.n) * padded_channels(conv.out, kRows);
  *a = {};
  a->x = s.activation(in, conv.c);
  if (p.x_norm) a->x_norm = make_normalize(s, conv.c);
  for (int m = 0; m < p.branches; ++m) {
    a->weight[m] = s.floats(weights_of(p.conv[m]));
    a->dweight[m] = s.floats(weights_of(p.conv[m]));
    a->u[m] = s.activation(out, conv.out);
    for (const float** each : {&a->gamma[m], &a->scale[m], &a->shift[m], &a->mean[m], &a->invstd[m]}) *each = s.channels(conv.out);
    for (float** each : {&a->dgamma[m], &a->dbeta[m]}) *each = s.channels(conv.out);
  }
  a->dv = s.activation(out, conv.out);
  a->attention = s.floats(p.branches * sums);
  a->ds = s.doubles(sums);
  for (const double** each : {&a->mask, &a->mask_u, &a->dv_mask, &a->dv_mask_u}) *each = s.doubles(p.branches * sums);
  a->dx = s.activation(in, conv.c);
  if (p.close) {
    a->close = make_close(s, in, conv.c);
  } else {
    a->add = s.activation(in, conv.c);
  }
}

inline void make_operands(Scratch& s, const SkSelectProblem& p, SkSelectForwardArgs* a) {
  const int64_t rows = int64_t{p.n} * p.hw;
  *a = {make_selection(s, p.branches, rows, p.n, p.c), s.activation(rows, p.c)};
}

inline void make_operands(Scratch& s, const BatchNormProblem& p, BatchNormStatisticsArgs* a) {
  *a = {s.activation(p.rows(), p.c), make_statistics(s, p.c)};
}
inline void make_operands(Scratch& s, const BatchNormProblem& p, BatchNormApplyArgs* a) {
  *a = {s.activation(p.rows(), p.c), make_normalize(s, p.c), s.activation(p.rows(), p.c), {}, true, s.activation(p.rows(), p.c)};
}
inline void make_operands(Scratch& s, const BatchNormProblem& p, BatchNormCloseArgs* a) {
  *a = {s.activation(p.rows(), p.c), make_close(s, p.rows(), p.c), s.activation(p.rows(), p.c)};
}
inline void make_operands(Scratch& s, const BatchNormProblem& p, BatchNormGradientArgs* a) {
  *a = {s.activation(p.rows(), p.c), make_gradient(s, p.rows(), p.c), s.activation(p.rows(), p.c)};
}

}  // namespace sknet::cuda
