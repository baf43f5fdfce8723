// Products that make what they read of the branches of an SK unit as it passes by, in place of sk_select_forward: SelectSource for as many
// branches as a problem has. Each tile of columns makes it again. There are many of these kernels, so they are compiled in files of their
// own, beside the others: conv2d_*_selected.cu.
#pragma once

#include "cuda/row_source.h"
#include "ops/conv2d.h"

namespace sknet::cuda::gemm {

// Where there are more, the tiles take as many instructions as the spared pass takes time (docs/performance.md).
constexpr int kMostSelectedColumns = 512;

// Why a product leaves this to sk_select_forward. most: branches.
inline const char* selection_refused(const Conv2dProblem& p, int most) {
  if (p.fusion.x_branches == 0) return nullptr;
  if (p.fusion.x_norm || p.fusion.x_rows) return "an SK unit's output is not read through a norm, nor is it the network's input";
  if (p.fusion.x_branches > most) return "the branches' tiles leave no room for a second block on a processor";
  if (p.kernel != 1) return "would make an SK unit's output for each tap";
  if (p.out > kMostSelectedColumns) return "would make an SK unit's output for each of more than four tiles";
  return nullptr;
}

template <class Elem, int kBranches>
SelectSource<Elem, kBranches> select_source(const Conv2dProblem& p, const Selection& s) {
  SelectSource<Elem, kBranches> source;
  for (int m = 0; m < kBranches; ++m) {
    source.u[m] = static_cast<const Elem*>(s.u[m]);
    source.scale[m] = s.scale[m];
    source.shift[m] = s.shift[m];
  }
  source.attention = s.attention;
  source.channels = padded(p.c);
  source.branch = static_cast<int64_t>(p.n) * padded(p.c);
  source.by_image = FastDiv(p.oh * p.ow);
  return source;
}

// Calls f(source).
template <class Machine, int kBranches = 1, class F>
void with_select_source(const Conv2dProblem& p, const Selection& s, const F& f) {
  if (p.fusion.x_branches == kBranches) return f(select_source<typename Machine::Type, kBranches>(p, s));
  if constexpr (kBranches < Machine::kMostBranches) with_select_source<Machine, kBranches + 1>(p, s, f);
}

}  // namespace sknet::cuda::gemm
