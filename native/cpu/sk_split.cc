// sk_split on the CPU. "planes": all branches from one copy of the input plane, statistics in the epilogue; backward builds du plane by
// plane in L2 and takes dx and all dW from there (see planes.h). "composed": any shape, one convolution after the other.
#include "ops/sk_split.h"

#include "cpu/batch_stats.h"
#include "cpu/kernels.h"
#include "cpu/planes.h"
#include "cpu/sk_split_stats.h"

namespace sknet::cpu {
namespace {

// ---------------------------------------------------------------------------------------------------- planes

const char* split_planes_refuse(const SkSplitProblem& p) {
  for (int m = 0; m < p.branches; ++m) {
    if (const char* reason = planes_refuse(p.conv[m])) return reason;
    if (p.conv[m].groups != p.conv[0].groups) return "branches differ in groups";
  }
  return nullptr;
}

int width_of(const SkSplitProblem& p) { return p.conv[0].c / p.conv[0].groups; }

int widest_padding(const SkSplitProblem& p) {
  int padding = 0;
  for (int m = 0; m < p.branches; ++m) padding = max_of(padding, p.conv[m].padding);
  return padding;
}

int64_t input_plane(const SkSplitProblem& p) {
  const int pad = widest_padding(p);
  return plane_floats(p.conv[0].h + 2 * pad, p.conv[0].w + 2 * pad);
}

// Offsets of the branches' packed weights; the last entry is the total.
struct PackedOffsets {
  int64_t at[kMaxBranches + 1];
};

PackedOffsets packed_offsets(const SkSplitProblem& p) {
  PackedOffsets o{};
  for (int m = 0; m < p.branches; ++m) o.at[m + 1] = o.at[m] + packed_planes_size(p.conv[m].c, width_of(p), p.conv[m].kernel);
  return o;
}

void pack_branches(const SkSplitProblem& p, const float* const* weight, bool backward, float* packed, const Exec& exec) {
  const int blocks = blocks_of(p.conv[0].c);
  const PackedOffsets offsets = packed_offsets(p);
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * blocks, [&](int64_t item, int) {
    const int m = static_cast<int>(item / blocks), block = static_cast<int>(item % blocks);
    const int64_t size = (offsets.at[m + 1] - offsets.at[m]) / blocks;
    pack_planes(p.conv[m], weight[m], backward, block, packed + offsets.at[m] + block * size);
  });
}

// Workspace: float64 sums [M][n][2][out], then packed weights.
size_t sums_size(const SkSplitProblem& p) {
  return 2 * static_cast<size_t>(p.branches) * static_cast<size_t>(p.conv[0].n) * static_cast<size_t>(blocks_of(p.conv[0].out) * kLanes);
}
size_t planes_forward_workspace(const SkSplitProblem& p) {
  return sizeof(double) * sums_size(p) + sizeof(float) * static_cast<size_t>(packed_offsets(p).at[p.branches]);
}

size_t planes_forward_scratch(const SkSplitProblem& p) {
  return sizeof(float) * static_cast<size_t>(group_blocks(width_of(p)) * input_plane(p));
}

// Copies the input blocks that output block `block` reads.
void fill_inputs(const SkSplitProblem& p, const float* x, int64_t n, int block, float* planes) {
  const Conv2dProblem& conv = p.conv[0];
  const int pad = widest_padding(p), width = width_of(p);
  for (int ib = 0; ib < group_blocks(width); ++ib) {
    const Plane plane{planes + ib * input_plane(p), conv.h + 2 * pad, conv.w + 2 * pad};
    fill_plane(plane, x + n * conv.h * conv.w * conv.c, conv.h, conv.w, conv.c, (first_block(width, block) + ib) * kLanes, pad, pad);
  }
}

template <int W>
void planes_forward_width(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec, const float* packed, double* sums) {
  const Conv2dProblem& conv = p.conv[0];
  const int width = width_of(p), blocks = blocks_of(conv.c), gb = group_blocks(width), pad = widest_padding(p);
  const int64_t row_stride = plane_floats(1, conv.w + 2 * pad);
  const PackedOffsets offsets = packed_offsets(p);
  parallel_for(*exec.pool, static_cast<int64_t>(conv.n) * blocks, [&](int64_t item, int thread) {
    float* planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int64_t n = item / blocks;
    const int block = static_cast<int>(item % blocks), c0 = block * kLanes, lanes = min_of(kLanes, conv.c - c0);
    fill_inputs(p, a.x, n, block, planes);
    for (int m = 0; m < p.branches; ++m) {
      const Conv2dProblem& branch = p.conv[m];
      const int64_t weights_block = (offsets.at[m + 1] - offsets.at[m]) / blocks, shift = (pad - branch.padding) * (row_stride + kLanes);
      TapSource sources[64];
      for (int ib = 0; ib < gb; ++ib) {
        sources[ib] = {planes + ib * input_plane(p) + shift,
                       row_stride,
                       static_cast<int64_t>(branch.stride) * kLanes,
                       branch.kernel,
                       branch.dilation,
                       packed + offsets.at[m] + block * weights_block + ib * (weights_block / gb)};
      }
      WideSum sum, squares;
      for (int row = 0; row < branch.oh; ++row) {
        float* y = a.u[m] + ((n * branch.oh + row) * branch.ow) * branch.c + c0;
        Vec row_sum{}, row_squares{};
        convolve_row<W>(sources, gb, branch.ow, [&]<int T>(int col, Vec(&acc)[T]) {
#pragma GCC unroll 16
          for (int t = 0; t < T; ++t) {
            row_sum += acc[t];
            row_squares += acc[t] * acc[t];
          }
          store_pixels(acc, y + static_cast<int64_t>(col) * branch.c, branch.c, lanes, false);
        });
        sum.add(row_sum);
        squares.add(row_squares);
        for (int ib = 0; ib < gb; ++ib) sources[ib].x += branch.stride * row_stride;
      }
      double* image = sums + ((m * static_cast<int64_t>(branch.n) + n) * blocks + block) * 2 * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) {
        image[lane] = sum.lanes[lane];
        image[kLanes + lane] = squares.lanes[lane];
      }
    }
  });
}

void planes_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  double* sums = reinterpret_cast<double*>(exec.workspace);
  float* packed = reinterpret_cast<float*>(sums + sums_size(p));
  pack_branches(p, a.weight, false, packed, exec);
  for_width(width_of(p), [&]<int W>() { planes_forward_width<W>(p, a, exec, packed, sums); });
  if (a.running_mean[0] != nullptr) return set_running_statistics(p, a);
  const Conv2dProblem& conv = p.conv[0];
  const double rows = static_cast<double>(conv.n) * conv.oh * conv.ow;
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * conv.out, [&](int64_t item, int) {
    const int m = static_cast<int>(item / conv.out), c = static_cast<int>(item % conv.out);
    double sum = 0, squares = 0;
    for (int n = 0; n < conv.n; ++n) {
      const double* image = sums + ((m * static_cast<int64_t>(conv.n) + n) * blocks_of(conv.out) + c / kLanes) * 2 * kLanes + c % kLanes;
      sum += image[0];
      squares += image[kLanes];
    }
    const double deviations = squares - sum * sum / rows;
    set_statistics(p, a, m, c, sum / rows, deviations > 0 ? deviations : 0 * deviations, rows);
  });
}

// Workspace: du's coefficients, packed weights, gradients [block][chunk][branches' packed gradients of the block].
size_t planes_backward_workspace(const SkSplitProblem& p) {
  const int64_t packed = packed_offsets(p).at[p.branches];
  return sizeof(float) * (du_coefficient_floats(p) + static_cast<size_t>(packed * (1 + image_chunks(p.conv[0].n, blocks_of(p.conv[0].c)))));
}

int64_t du_plane(const Conv2dProblem& p) { return plane_floats(backward_rows(p), backward_cols(p)); }

size_t planes_backward_scratch(const SkSplitProblem& p) {
  int64_t du = 0;
  for (int m = 0; m < p.branches; ++m) du += du_plane(p.conv[m]);
  return sizeof(float) * static_cast<size_t>(group_blocks(width_of(p)) * (input_plane(p) + du));
}

template <int W>
void planes_backward_width(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec, const DuCoefficients& coefficients,
                           const float* packed, float* gradients) {
  const Conv2dProblem& conv = p.conv[0];
  const int width = width_of(p), blocks = blocks_of(conv.c), gb = group_blocks(width), pad = widest_padding(p);
  const int chunks = image_chunks(conv.n, blocks), per_chunk = ceil_div(conv.n, chunks);
  const PackedOffsets offsets = packed_offsets(p);
  const int64_t gradient_block = offsets.at[p.branches] / blocks, x_row = plane_floats(1, conv.w + 2 * pad);
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * blocks, [&](int64_t item, int thread) {
    float* x_planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int chunk = static_cast<int>(item / blocks), block = static_cast<int>(item % blocks), first = first_block(width, block);
    const int c0 = block * kLanes, lanes = min_of(kLanes, conv.c - c0);
    float* gradient = gradients + (static_cast<int64_t>(block) * chunks + chunk) * gradient_block;
    zero_floats(gradient, gradient_block);
    for (int64_t n = static_cast<int64_t>(chunk) * per_chunk; n < min_of<int64_t>(conv.n, (chunk + 1) * static_cast<int64_t>(per_chunk));
         ++n) {
      fill_inputs(p, a.x, n, block, x_planes);
      TapSource sources[64];
      float* plane = x_planes + gb * input_plane(p);
      for (int m = 0; m < p.branches; ++m) {
        const Conv2dProblem& branch = p.conv[m];
        const int lead = backward_lead(branch), cols = backward_cols(branch), stride = branch.stride;
        const int64_t weights_block = (offsets.at[m + 1] - offsets.at[m]) / blocks, weights_part = weights_block / gb;
        for (int ib = 0; ib < gb; ++ib, plane += du_plane(branch)) {
          zero_floats(plane, du_plane(branch));
          float* origin = plane + plane_floats(lead, cols) + static_cast<int64_t>(lead) * kLanes;
          make_du(p, a, coefficients, m, n, (first + ib) * kLanes, [&](int pixel, Vec du) {
            store(origin + plane_floats(pixel / branch.ow * stride, cols) + static_cast<int64_t>(pixel % branch.ow) * stride * kLanes, du);
          });
          sources[m * gb + ib] = {plane,         plane_floats(1, cols), kLanes,
                                  branch.kernel, branch.dilation,       packed + offsets.at[m] + block * weights_block + ib * weights_part};
          if (first + ib != block) continue;
          const int64_t shift = (pad - branch.padding) * (x_row + kLanes);
          for (int xb = 0; xb < gb; ++xb) {
            const GradientPlanes g{x_planes + xb * input_plane(p) + shift,
                                   x_row,
                                   stride,
                                   branch.kernel,
                                   branch.dilation,
                                   origin,
                                   plane_floats(stride, cols),
                                   static_cast<int64_t>(stride) * kLanes,
                                   branch.oh,
                                   branch.ow};
            gradient_taps<W>(g, gradient + offsets.at[m] / blocks + xb * weights_part);
          }
        }
      }
      if (a.dx == nullptr) continue;
      for (int row = 0; row < conv.h; ++row) {
        float* dx = a.dx + ((n * conv.h + row) * conv.w) * conv.c + c0;
        convolve_row<W>(sources, p.branches * gb, conv.w, [&]<int T>(int col, Vec(&acc)[T]) {
          store_pixels(acc, dx + static_cast<int64_t>(col) * conv.c, conv.c, lanes, a.accumulate);
        });
        for (int i = 0; i < p.branches * gb; ++i) sources[i].x += sources[i].row_stride;
      }
    }
  });
  parallel_for(*exec.pool, blocks, [&](int64_t block, int) {
    float* sum = gradients + block * chunks * gradient_block;
    for (int chunk = 1; chunk < chunks; ++chunk) {
      for (int64_t i = 0; i < gradient_block; ++i) sum[i] += sum[chunk * gradient_block + i];
    }
    for (int m = 0; m < p.branches; ++m) unpack_planes(p.conv[m], sum + offsets.at[m] / blocks, static_cast<int>(block), a.dweight[m]);
  });
}

void planes_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  float* memory = reinterpret_cast<float*>(exec.workspace);
  const DuCoefficients coefficients = du_coefficients_at(p, memory);
  float* packed = memory + du_coefficient_floats(p);
  float* gradients = packed + packed_offsets(p).at[p.branches];
  close_batch_norm(p, a, coefficients, *exec.pool);
  pack_branches(p, a.weight, true, packed, exec);
  for_width(width_of(p), [&]<int W>() { planes_backward_width<W>(p, a, exec, coefficients, packed, gradients); });
}

// ---------------------------------------------------------------------------------------------------- composed

size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t composed_forward_workspace(const SkSplitProblem& p) {
  size_t bytes = batch_stats_workspace(static_cast<int64_t>(p.conv[0].n) * p.conv[0].oh * p.conv[0].ow, p.conv[0].out);
  for (int m = 0; m < p.branches; ++m) bytes = max_of(bytes, SKNET_ISA::conv2d_forward_gemm.workspace(p.conv[m]));
  return bytes;
}

size_t composed_forward_scratch(const SkSplitProblem& p) { return SKNET_ISA::conv2d_forward_gemm.scratch(p.conv[0]); }

void composed_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const bool training = a.running_mean[0] == nullptr;
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    SKNET_ISA::conv2d_forward_gemm.run(conv, {a.x, a.weight[m], nullptr, a.u[m]}, exec);
    if (!training) continue;
    const int64_t rows = static_cast<int64_t>(conv.n) * conv.oh * conv.ow;
    batch_stats(*exec.pool, a.u[m], rows, conv.out, reinterpret_cast<float*>(exec.workspace),
                [&](int c, double mean, double squares) { set_statistics(p, a, m, c, mean, squares, static_cast<double>(rows)); });
  }
  if (!training) set_running_statistics(p, a);
}

// Workspace: du's coefficients, du of one branch, the convolutions' own workspace.
size_t composed_du_bytes(const SkSplitProblem& p) {
  return align64(sizeof(float) * du_coefficient_floats(p)) +
         align64(sizeof(float) * static_cast<size_t>(p.conv[0].n) * static_cast<size_t>(p.conv[0].oh * p.conv[0].ow * p.conv[0].out));
}

size_t composed_backward_workspace(const SkSplitProblem& p) {
  size_t bytes = 0;
  for (int m = 0; m < p.branches; ++m) {
    bytes = max_of(bytes, max_of(SKNET_ISA::conv2d_backward_data_gemm.workspace(p.conv[m]),
                                 SKNET_ISA::conv2d_backward_weight_gemm.workspace(p.conv[m])));
  }
  return composed_du_bytes(p) + bytes;
}

size_t composed_backward_scratch(const SkSplitProblem& p) {
  return max_of(SKNET_ISA::conv2d_backward_data_gemm.scratch(p.conv[0]), SKNET_ISA::conv2d_backward_weight_gemm.scratch(p.conv[0]));
}

void composed_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const DuCoefficients coefficients = du_coefficients_at(p, reinterpret_cast<float*>(exec.workspace));
  float* du = reinterpret_cast<float*>(exec.workspace + align64(sizeof(float) * du_coefficient_floats(p)));
  Exec inner = exec;
  inner.workspace += composed_du_bytes(p);
  close_batch_norm(p, a, coefficients, *exec.pool);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    const int blocks = blocks_of(conv.out);
    parallel_for(*exec.pool, static_cast<int64_t>(conv.n) * blocks, [&](int64_t item, int) {
      const int64_t n = item / blocks;
      const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, conv.out - c0);
      float* image = du + n * conv.oh * conv.ow * conv.out + c0;
      make_du(p, a, coefficients, m, n, c0,
              [&](int pixel, Vec v) { store_part(image + static_cast<int64_t>(pixel) * conv.out, v, lanes); });
    });
    if (a.dx != nullptr) {
      SKNET_ISA::conv2d_backward_data_gemm.run(conv, {du, a.weight[m], a.dx, a.accumulate || m > 0}, inner);
    }
    SKNET_ISA::conv2d_backward_weight_gemm.run(conv, {a.x, du, a.dweight[m], nullptr}, inner);
  }
}

}  // namespace

namespace SKNET_ISA {

const SkSplitForward sk_split_forward_planes{"planes", split_planes_refuse, planes_forward_workspace, planes_forward_scratch,
                                             planes_forward};
const SkSplitForward sk_split_forward_composed{"composed", nullptr, composed_forward_workspace, composed_forward_scratch, composed_forward};
const SkSplitBackward sk_split_backward_planes{"planes", split_planes_refuse, planes_backward_workspace, planes_backward_scratch,
                                               planes_backward};
const SkSplitBackward sk_split_backward_composed{"composed", nullptr, composed_backward_workspace, composed_backward_scratch,
                                                 composed_backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
