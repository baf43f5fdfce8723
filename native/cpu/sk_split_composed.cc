// sk_split on the CPU, candidate "composed": any shape, one convolution after the other.
#include "cpu/batch_stats.h"
#include "cpu/kernels.h"
#include "cpu/planes.h"
#include "cpu/sk_split_stats.h"

namespace sknet::cpu {
namespace {

size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

const char* refuse(const SkSplitProblem& p) { return p.x_norm || p.close ? "does nothing for its neighbours" : nullptr; }

template <class C>
const C& pick(const C& gemm, const C& direct, const Conv2dProblem& p) {
  return gemm.refuse(p) == nullptr ? gemm : direct;
}
const Conv2dForward& forward_of(const Conv2dProblem& p) {
  return pick(SKNET_ISA::conv2d_forward_gemm, SKNET_ISA::conv2d_forward_direct, p);
}
const Conv2dBackwardData& data_of(const Conv2dProblem& p) {
  return pick(SKNET_ISA::conv2d_backward_data_gemm, SKNET_ISA::conv2d_backward_data_direct, p);
}
const Conv2dBackwardWeight& weight_of(const Conv2dProblem& p) {
  return pick(SKNET_ISA::conv2d_backward_weight_gemm, SKNET_ISA::conv2d_backward_weight_direct, p);
}

// The most that `size` asks for in any branch.
template <class Size>
size_t most(const SkSplitProblem& p, const Size& size) {
  size_t bytes = 0;
  for (int m = 0; m < p.branches; ++m) bytes = max_of(bytes, size(p.conv[m]));
  return align64(bytes);
}
template <class C>
size_t workspace_of(const C& c, const Conv2dProblem& p) {
  return c.workspace == nullptr ? 0 : c.workspace(p);
}
template <class C>
size_t scratch_of(const C& c, const Conv2dProblem& p) {
  return c.scratch == nullptr ? 0 : c.scratch(p);
}
template <class C>
size_t packed_of(const C& c, const Conv2dProblem& p) {
  return c.packed == nullptr ? 0 : c.packed(p);
}

template <class C, class Args>
void run(const C& candidate, const Conv2dProblem& p, const Args& a, const Exec& exec) {
  if (candidate.pack != nullptr) candidate.pack(p, a, exec);
  candidate.run(p, a, exec);
}

// ---- forward. Workspace: packed weights, then the convolution's or the statistics'.

size_t forward_packed(const SkSplitProblem& p) {
  return most(p, [](const Conv2dProblem& conv) { return packed_of(forward_of(conv), conv); });
}
size_t forward_workspace(const SkSplitProblem& p) {
  const size_t own = most(p, [](const Conv2dProblem& conv) { return workspace_of(forward_of(conv), conv); });
  return forward_packed(p) + max_of(own, align64(batch_stats_workspace(p.conv[0].n, p.conv[0].oh * p.conv[0].ow, p.conv[0].out)));
}
size_t forward_scratch(const SkSplitProblem& p) {
  return most(p, [](const Conv2dProblem& conv) { return scratch_of(forward_of(conv), conv); });
}

void forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  Exec inner = exec;
  inner.packed = exec.workspace;
  inner.workspace += forward_packed(p);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    run(forward_of(conv), conv, Conv2dForwardArgs{a.x, {}, a.weight[m], nullptr, a.u[m], {}, {}, nullptr}, inner);
    if (a.statistics[m].gamma == nullptr) continue;
    const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
    batch_stats(*exec.pool, static_cast<const Elem*>(a.u[m]), conv.n, conv.oh * conv.ow, conv.out,
                reinterpret_cast<float*>(inner.workspace),
                [&](int c, double mean, double squares) { set_statistics(a.statistics[m], c, conv.out, mean, squares, rows); });
  }
}

// ---- backward. Workspace: du's coefficients, du of one branch, packed weights, the convolutions' own.

size_t du_bytes(const SkSplitProblem& p) {
  const Conv2dProblem& conv = p.conv[0];
  return align64(sizeof(Elem) * static_cast<size_t>(conv.n) * static_cast<size_t>(conv.oh * conv.ow) * static_cast<size_t>(padded_out(p)));
}
size_t coefficient_bytes(const SkSplitProblem& p) { return align64(sizeof(float) * du_coefficient_floats(p)); }
size_t data_packed(const SkSplitProblem& p) {
  return most(p, [](const Conv2dProblem& conv) { return packed_of(data_of(conv), conv); });
}
size_t backward_workspace(const SkSplitProblem& p) {
  return coefficient_bytes(p) + du_bytes(p) + data_packed(p) +
         most(p, [](const Conv2dProblem& conv) { return max_of(workspace_of(data_of(conv), conv), workspace_of(weight_of(conv), conv)); });
}
size_t backward_scratch(const SkSplitProblem& p) {
  return most(p, [](const Conv2dProblem& conv) { return max_of(scratch_of(data_of(conv), conv), scratch_of(weight_of(conv), conv)); });
}

void backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const DuCoefficients coefficients = du_coefficients_at(p, reinterpret_cast<float*>(exec.workspace));
  Elem* du = reinterpret_cast<Elem*>(exec.workspace + coefficient_bytes(p));
  Exec inner = exec;
  inner.packed = exec.workspace + coefficient_bytes(p) + du_bytes(p);
  inner.workspace = inner.packed + data_packed(p);
  close_batch_norm(p, a, coefficients, *exec.pool);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    const int blocks = blocks_of(conv.out), hw = conv.oh * conv.ow;
    parallel_for(*exec.pool, static_cast<int64_t>(conv.n) * blocks, [&](int64_t item, int) {
      const DuVec make = du_at(p, a, coefficients, m, item / blocks, static_cast<int>(item % blocks));
      const int64_t first = item * hw * kLanes;
      for (int64_t at = first; at < first + static_cast<int64_t>(hw) * kLanes; at += kLanes) {
        store(du + at, make(load(static_cast<const Elem*>(a.u[m]) + at), load(static_cast<const Elem*>(a.dv) + at)));
      }
    });
    if (a.dx != nullptr) {
      run(data_of(conv), conv, Conv2dBackwardDataArgs{du, {}, a.weight[m], a.dx, m == 0 ? a.add : a.dx, {}}, inner);
    }
    run(weight_of(conv), conv, Conv2dBackwardWeightArgs{a.x, {}, du, {}, a.dweight[m], nullptr}, inner);
  }
}

}  // namespace

namespace SKNET_ISA {

const SkSplitForward sk_split_forward_composed{"composed", refuse, forward_workspace, forward_scratch, forward};
const SkSplitBackward sk_split_backward_composed{"composed", refuse, backward_workspace, backward_scratch, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
