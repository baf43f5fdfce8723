// sk_split for any shape: one convolution after the other, by the candidates of conv2d.
#pragma once

#include "cpu/batch_stats.h"
#include "cpu/kernels.h"
#include "cpu/sk_split_stats.h"

namespace sknet::cpu {
namespace {

const char* composed_forward_refuse(const SkSplitProblem& p) { return p.x_norm ? "the input is read through a norm" : nullptr; }

const char* composed_backward_refuse(const SkSplitProblem& p) {
  if (p.x_norm) return "the input is read through a norm";
  return p.close ? "closes the gradient it writes" : nullptr;
}

Conv2dProblem branch_problem(const SkSplitProblem& p, int m) {
  Conv2dProblem conv = p.conv[m];
  conv.fusion = {};
  return conv;
}

template <class Op>
const Op& gemm_or_direct(const Conv2dProblem& conv, const Op& gemm, const Op& direct) {
  return gemm.refuse == nullptr || gemm.refuse(conv) == nullptr ? gemm : direct;
}
const Conv2dForward& forward_of(const Conv2dProblem& conv) {
  return gemm_or_direct(conv, SKNET_ISA::conv2d_forward_gemm, SKNET_ISA::conv2d_forward_direct);
}
const Conv2dBackwardData& backward_data_of(const Conv2dProblem& conv) {
  return gemm_or_direct(conv, SKNET_ISA::conv2d_backward_data_gemm, SKNET_ISA::conv2d_backward_data_direct);
}
const Conv2dBackwardWeight& backward_weight_of(const Conv2dProblem& conv) {
  return gemm_or_direct(conv, SKNET_ISA::conv2d_backward_weight_gemm, SKNET_ISA::conv2d_backward_weight_direct);
}

size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

// What a convolution packs and needs besides; run_conv lays out the same.
template <class Op>
size_t conv_bytes(const Op& op, const Conv2dProblem& conv) {
  return (op.packed == nullptr ? 0 : align64(op.packed(conv))) + (op.workspace == nullptr ? 0 : op.workspace(conv));
}
template <class Op>
size_t conv_scratch(const Op& op, const Conv2dProblem& conv) {
  return op.scratch == nullptr ? 0 : op.scratch(conv);
}
template <class Op, class Args>
void run_conv(const Op& op, const Conv2dProblem& conv, const Args& args, Exec exec) {
  if (op.pack != nullptr) {
    exec.packed = exec.workspace;
    exec.workspace += align64(op.packed(conv));
    op.pack(conv, args, exec);
  }
  op.run(conv, args, exec);
}

size_t composed_forward_workspace(const SkSplitProblem& p) {
  size_t bytes = batch_stats_workspace(p.conv[0].n, p.conv[0].oh * p.conv[0].ow, p.conv[0].out);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    bytes = max_of(bytes, conv_bytes(forward_of(conv), conv));
  }
  return bytes;
}

size_t composed_forward_scratch(const SkSplitProblem& p) {
  size_t bytes = 0;
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    bytes = max_of(bytes, conv_scratch(forward_of(conv), conv));
  }
  return bytes;
}

void composed_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    const Conv2dForwardArgs args{.x = a.x, .weight = a.weight[m], .bias = nullptr, .y = a.u[m], .residual = nullptr};
    run_conv(forward_of(conv), conv, args, exec);
    const NormStatistics& statistics = a.statistics[m];
    if (statistics.gamma == nullptr) continue;
    const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
    batch_stats(*exec.pool, static_cast<const Elem*>(a.u[m]), conv.n, conv.oh * conv.ow, conv.out,
                reinterpret_cast<double*>(exec.workspace),
                [&](int c, double mean, double squares) { set_statistics(statistics, c, conv.out, mean, squares, rows); });
  }
}

// Workspace: du's coefficients, du of one branch, the convolutions' own.
size_t composed_coefficient_bytes(const SkSplitProblem& p) {
  return align64(sizeof(float) * static_cast<size_t>(du_coefficient_floats(p)));
}
size_t composed_du_bytes(const SkSplitProblem& p) {
  const Conv2dProblem& conv = p.conv[0];
  const int64_t plane = static_cast<int64_t>(conv.oh) * conv.ow * kLanes;
  return align64(sizeof(Elem) * static_cast<size_t>(conv.n * blocks_in(conv.out, kLanes) * plane));
}

size_t composed_backward_workspace(const SkSplitProblem& p) {
  size_t bytes = 0;
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    bytes = max_of(bytes, max_of(conv_bytes(backward_data_of(conv), conv), conv_bytes(backward_weight_of(conv), conv)));
  }
  return composed_coefficient_bytes(p) + composed_du_bytes(p) + bytes;
}

size_t composed_backward_scratch(const SkSplitProblem& p) {
  size_t bytes = 0;
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    bytes = max_of(bytes, max_of(conv_scratch(backward_data_of(conv), conv), conv_scratch(backward_weight_of(conv), conv)));
  }
  return bytes;
}

void composed_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const DuCoefficients coefficients = du_coefficients_at(p, reinterpret_cast<float*>(exec.workspace));
  Elem* du = reinterpret_cast<Elem*>(exec.workspace + composed_coefficient_bytes(p));
  Exec inner = exec;
  inner.workspace += composed_coefficient_bytes(p) + composed_du_bytes(p);
  close_branches(p, a, coefficients, *exec.pool);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem conv = branch_problem(p, m);
    const int blocks = blocks_in(conv.out, kLanes);
    const int64_t plane = static_cast<int64_t>(conv.oh) * conv.ow * kLanes;
    parallel_for(*exec.pool, static_cast<int64_t>(conv.n) * blocks, [&](int64_t item, int) {
      const MakeDu make = make_du_at(p, a, coefficients, m, item / blocks, static_cast<int>(item % blocks));
      for (int64_t at = 0; at < plane; at += kLanes) store(du + item * plane + at, make(at));
    });
    if (a.dx != nullptr) {
      const Conv2dBackwardDataArgs args{.dy = du, .weight = a.weight[m], .dx = a.dx, .add = m == 0 ? a.add : a.dx};
      run_conv(backward_data_of(conv), conv, args, inner);
    }
    const Conv2dBackwardWeightArgs args{.x = a.x, .dy = du, .dweight = a.dweight[m], .dbias = nullptr};
    run_conv(backward_weight_of(conv), conv, args, inner);
  }
}

}  // namespace
}  // namespace sknet::cpu
