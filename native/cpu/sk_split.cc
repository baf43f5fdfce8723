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
// Blocks of channels that read one another: an item of work, so that planes are made once.
int bundle_of(const SkSplitProblem& p) { return group_blocks(width_of(p)); }
int bundles_of(const SkSplitProblem& p) { return blocks_of(p.conv[0].c) / bundle_of(p); }

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

size_t packed_bytes(const SkSplitProblem& p) { return sizeof(float) * static_cast<size_t>(packed_offsets(p).at[p.branches]); }

void pack_branches(const SkSplitProblem& p, const float* const* weight, bool backward, const Exec& exec) {
  float* packed = reinterpret_cast<float*>(exec.packed);
  const int blocks = blocks_of(p.conv[0].c);
  const PackedOffsets offsets = packed_offsets(p);
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * blocks, [&](int64_t item, int) {
    const int m = static_cast<int>(item / blocks), block = static_cast<int>(item % blocks);
    const int64_t size = (offsets.at[m + 1] - offsets.at[m]) / blocks;
    pack_planes(p.conv[m], weight[m], backward, block, packed + offsets.at[m] + block * size);
  });
}

void pack_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, false, exec); }
void pack_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, true, exec); }

// Image n's bundle of input blocks, read through the norm.
void fill_inputs(const SkSplitProblem& p, const void* x, const Normalize& norm, int64_t n, int bundle, float* planes) {
  const Conv2dProblem& conv = p.conv[0];
  const int pad = widest_padding(p), count = bundle_of(p);
  for (int ib = 0; ib < count; ++ib) {
    const Plane plane{planes + ib * input_plane(p), conv.h + 2 * pad, conv.w + 2 * pad};
    const int block = bundle * count + ib;
    const Elem* image = static_cast<const Elem*>(x) + block_offset(n, block, conv.c, conv.h * conv.w);
    if (norm.scale == nullptr) {
      fill_plane(plane, image, conv.h, conv.w, pad, pad);
    } else {
      fill_plane(plane, image, conv.h, conv.w, pad, pad, normalize_at(norm, block * kLanes));
    }
  }
}

// Statistics in the making: deviations from a pivot near the mean, so that a large mean costs no digits.
struct Deviations {
  Vec pivot{};
  WideSum sum{}, squares{};
};

// [M][n][blocks][mean, squared deviations][kLanes]
double* image_sums(const SkSplitProblem& p, double* sums, int m, int64_t n, int block) {
  return sums + ((static_cast<int64_t>(m) * p.conv[0].n + n) * blocks_of(p.conv[0].out) + block) * 2 * kLanes;
}

size_t planes_forward_workspace(const SkSplitProblem& p) {
  return sizeof(double) * 2 * static_cast<size_t>(p.branches) * static_cast<size_t>(p.conv[0].n) *
         static_cast<size_t>(blocks_of(p.conv[0].out) * kLanes);
}

size_t planes_forward_scratch(const SkSplitProblem& p) { return sizeof(float) * static_cast<size_t>(bundle_of(p) * input_plane(p)); }

// One branch's output block of one image.
template <int W>
void convolve_block(const SkSplitProblem& p, int m, const float* planes, const float* packed, int block, Elem* u, Deviations* deviations) {
  const Conv2dProblem& branch = p.conv[m];
  const int gb = bundle_of(p), pad = widest_padding(p), blocks = blocks_of(branch.c);
  const PackedOffsets offsets = packed_offsets(p);
  const int64_t row_stride = plane_floats(1, branch.w + 2 * pad), weights_block = (offsets.at[m + 1] - offsets.at[m]) / blocks;
  const int64_t shift = (pad - branch.padding) * (row_stride + kLanes);
  TapSource sources[16];
  for (int ib = 0; ib < gb; ++ib) {
    sources[ib] = {planes + ib * input_plane(p) + shift,
                   row_stride,
                   static_cast<int64_t>(branch.stride) * kLanes,
                   branch.kernel,
                   branch.dilation,
                   packed + offsets.at[m] + block * weights_block + ib * (weights_block / gb)};
  }
  for (int row = 0; row < branch.oh; ++row) {
    Elem* y = u + static_cast<int64_t>(row) * branch.ow * kLanes;
    Vec row_sum{}, row_squares{};
    convolve_row<W>(sources, gb, branch.ow, [&]<int T>(int col, Vec(&acc)[T]) {
      if (deviations != nullptr) {
        if (row == 0 && col == 0) {
#pragma GCC unroll 16
          for (int t = 0; t < T; ++t) deviations->pivot += acc[t];
          deviations->pivot = deviations->pivot / static_cast<float>(T);
        }
        const Vec pivot = deviations->pivot;
#pragma GCC unroll 16
        for (int t = 0; t < T; ++t) {
          const Vec d = acc[t] - pivot;
          row_sum += d;
          row_squares += d * d;
        }
      }
      store_pixels(acc, y + static_cast<int64_t>(col) * kLanes, static_cast<const Elem*>(nullptr));
    });
    if (deviations != nullptr) {
      deviations->sum.add(row_sum);
      deviations->squares.add(row_squares);
    }
    for (int ib = 0; ib < gb; ++ib) sources[ib].x += branch.stride * row_stride;
  }
}

void store_statistics(const Deviations& d, double pixels, double* to) {
  double sum[kLanes], squares[kLanes];
  d.sum.store_to(sum);
  d.squares.store_to(squares);
  for (int lane = 0; lane < kLanes; ++lane) {
    to[lane] = d.pivot[lane] + sum[lane] / pixels;
    to[kLanes + lane] = squares[lane] - sum[lane] * sum[lane] / pixels;
  }
}

template <int W>
void planes_forward_width(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const Conv2dProblem& conv = p.conv[0];
  const int gb = bundle_of(p), bundles = bundles_of(p), hw = conv.oh * conv.ow;
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  double* sums = reinterpret_cast<double*>(exec.workspace);
  const bool training = a.statistics[0].gamma != nullptr;
  parallel_for(*exec.pool, static_cast<int64_t>(conv.n) * bundles, [&](int64_t item, int thread) {
    float* planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int64_t n = item / bundles;
    const int bundle = static_cast<int>(item % bundles);
    fill_inputs(p, a.x, a.x_norm, n, bundle, planes);
    for (int m = 0; m < p.branches; ++m) {
      for (int block = bundle * gb; block < (bundle + 1) * gb; ++block) {
        Deviations deviations;
        Elem* u = static_cast<Elem*>(a.u[m]) + block_offset(n, block, conv.out, hw);
        convolve_block<W>(p, m, planes, packed, block, u, training ? &deviations : nullptr);
        if (training) store_statistics(deviations, hw, image_sums(p, sums, m, n, block));
      }
    }
  });
}

void planes_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  for_width(width_of(p), [&]<int W>() { planes_forward_width<W>(p, a, exec); });
  if (a.statistics[0].gamma == nullptr) return;
  double* sums = reinterpret_cast<double*>(exec.workspace);
  const Conv2dProblem& conv = p.conv[0];
  const int channels = padded_channels(conv.out, kLanes);
  const double pixels = static_cast<double>(conv.oh) * conv.ow;
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * channels, [&](int64_t item, int) {
    const int m = static_cast<int>(item / channels), c = static_cast<int>(item % channels);
    double count = 0, mean = 0, squares = 0;
    for (int n = 0; n < conv.n; ++n) {
      const double* image = image_sums(p, sums, m, n, c / kLanes) + c % kLanes;
      const double delta = image[0] - mean, total = count + pixels;
      mean += delta * pixels / total;
      squares += image[kLanes] + delta * delta * count * pixels / total;
      count = total;
    }
    set_statistics(a.statistics[m], c, conv.out, mean, squares > 0 ? squares : 0 * squares, count);
  });
}

// ---- backward. Workspace: du's coefficients, gradients [block][chunk][branches' packed gradients of the block], sums of the close.
struct BackwardMemory {
  float* coefficients;
  float* gradients;
  double* sums;  // [n][blocks][dz, dz (u - mean)][kLanes]
};

size_t gradient_floats(const SkSplitProblem& p) {
  return static_cast<size_t>(packed_offsets(p).at[p.branches] * image_chunks(p.conv[0].n, bundles_of(p)));
}

BackwardMemory backward_memory(const SkSplitProblem& p, char* workspace) {
  float* coefficients = reinterpret_cast<float*>(workspace);
  float* gradients = coefficients + du_coefficient_floats(p);
  return {coefficients, gradients, reinterpret_cast<double*>(gradients + gradient_floats(p))};
}

size_t planes_backward_workspace(const SkSplitProblem& p) {
  const size_t sums = p.close ? 2 * static_cast<size_t>(p.conv[0].n) * static_cast<size_t>(blocks_of(p.conv[0].c) * kLanes) : 0;
  return sizeof(float) * (du_coefficient_floats(p) + gradient_floats(p)) + sizeof(double) * sums;
}

int64_t du_plane(const Conv2dProblem& p) { return plane_floats(backward_rows(p), backward_cols(p)); }

size_t planes_backward_scratch(const SkSplitProblem& p) {
  int64_t du = 0;
  for (int m = 0; m < p.branches; ++m) du += du_plane(p.conv[m]);
  return sizeof(float) * static_cast<size_t>(bundle_of(p) * (input_plane(p) + du));
}

// du of branch m, image n, block, spread by the stride into its plane (backward_lead).
void fill_du(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const DuCoefficients& coefficients, int m, int64_t n, int block,
             float* plane) {
  const Conv2dProblem& branch = p.conv[m];
  const int lead = backward_lead(branch), cols = backward_cols(branch), stride = branch.stride;
  const DuVec du = du_at(p, a, coefficients, m, n, block);
  const int64_t at = block_offset(n, block, branch.out, branch.oh * branch.ow);
  const Elem *u = static_cast<const Elem*>(a.u[m]) + at, *dv = static_cast<const Elem*>(a.dv) + at;
  zero_floats(plane, du_plane(branch));
  for (int row = 0; row < branch.oh; ++row) {
    float* dst = plane + plane_floats(lead + row * stride, cols) + static_cast<int64_t>(lead) * kLanes;
    for (int col = 0; col < branch.ow; ++col, u += kLanes, dv += kLanes)
      store(dst + static_cast<int64_t>(col) * stride * kLanes, du(load(u), load(dv)));
  }
}

// Weight gradients of one output block from the input planes.
template <int W>
void branch_gradient(const SkSplitProblem& p, int m, const float* x_planes, const float* du, float* gradient) {
  const Conv2dProblem& branch = p.conv[m];
  const int gb = bundle_of(p), pad = widest_padding(p), lead = backward_lead(branch), cols = backward_cols(branch);
  const int64_t x_row = plane_floats(1, branch.w + 2 * pad), shift = (pad - branch.padding) * (x_row + kLanes);
  const int64_t part = packed_planes_size(branch.c, width_of(p), branch.kernel) / blocks_of(branch.c) / gb;
  for (int xb = 0; xb < gb; ++xb) {
    const GradientPlanes g{x_planes + xb * input_plane(p) + shift,
                           x_row,
                           branch.stride,
                           branch.kernel,
                           branch.dilation,
                           du + plane_floats(lead, cols) + static_cast<int64_t>(lead) * kLanes,
                           plane_floats(branch.stride, cols),
                           static_cast<int64_t>(branch.stride) * kLanes,
                           branch.oh,
                           branch.ow};
    gradient_taps<W>(g, gradient + xb * part);
  }
}

// What becomes of dx's tiles.
struct DxEpilogue {
  Elem* dx;
  const Elem* add;     // or null
  const Elem* u;       // to close: the raw input; null: nothing to close
  const Elem* output;  // or null
  NormCloseVec close;
  Vec sum{}, dot{};
  WideSum wide_sum{}, wide_dot{};

  template <int T>
  SKNET_INLINE void tile(int64_t at, Vec (&acc)[T]) {
    if (u == nullptr) return store_pixels(acc, dx + at, add == nullptr ? nullptr : add + at);
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      const int64_t i = at + t * kLanes;
      Vec g = acc[t];
      if (add != nullptr) g += load(add + i);
      const Vec uv = load(u + i);
      g = close.gate(g, uv, output == nullptr ? Vec{} : load(output + i));
      sum += g;
      dot += g * (uv - close.mean);
      store(dx + i, g);
    }
  }
  void end_row() {
    wide_sum.add(sum);
    wide_dot.add(dot);
    sum = dot = Vec{};
  }
};

DxEpilogue dx_epilogue(const SkSplitProblem& p, const SkSplitBackwardArgs& a, int64_t n, int block) {
  const Conv2dProblem& conv = p.conv[0];
  const int64_t at = block_offset(n, block, conv.c, conv.h * conv.w);
  const auto offset = [at](const void* memory) { return memory == nullptr ? nullptr : static_cast<const Elem*>(memory) + at; };
  DxEpilogue e{static_cast<Elem*>(a.dx) + at, offset(p.close ? a.close.add : a.add), nullptr, nullptr, {}};
  if (!p.close) return e;
  e.u = offset(a.close.u);
  e.output = offset(a.close.output);
  e.close = norm_close_at(a.close, block * kLanes);
  return e;
}

template <int W>
void planes_backward_width(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec, const BackwardMemory& memory) {
  const Conv2dProblem& conv = p.conv[0];
  const int blocks = blocks_of(conv.c), gb = bundle_of(p), bundles = bundles_of(p);
  const int chunks = image_chunks(conv.n, bundles), per_chunk = ceil_div(conv.n, chunks);
  const PackedOffsets offsets = packed_offsets(p);
  const DuCoefficients coefficients = du_coefficients_at(p, memory.coefficients);
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  const int64_t gradient_block = offsets.at[p.branches] / blocks;
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * bundles, [&](int64_t item, int thread) {
    float* x_planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    float* du_planes = x_planes + gb * input_plane(p);
    const int chunk = static_cast<int>(item / bundles), bundle = static_cast<int>(item % bundles), first = bundle * gb;
    const auto gradient_of = [&](int block) { return memory.gradients + (static_cast<int64_t>(block) * chunks + chunk) * gradient_block; };
    for (int block = first; block < first + gb; ++block) zero_floats(gradient_of(block), gradient_block);
    for (int64_t n = static_cast<int64_t>(chunk) * per_chunk; n < min_of<int64_t>(conv.n, (chunk + 1) * static_cast<int64_t>(per_chunk));
         ++n) {
      fill_inputs(p, a.x, a.x_norm, n, bundle, x_planes);
      float* plane = du_planes;
      for (int m = 0; m < p.branches; ++m) {
        for (int block = first; block < first + gb; ++block, plane += du_plane(p.conv[m])) {
          fill_du(p, a, coefficients, m, n, block, plane);
          branch_gradient<W>(p, m, x_planes, plane, gradient_of(block) + offsets.at[m] / blocks);
        }
      }
      if (a.dx == nullptr) continue;
      for (int block = first; block < first + gb; ++block) {
        TapSource sources[kMaxBranches * 16];
        plane = du_planes;
        for (int m = 0; m < p.branches; ++m) {
          const Conv2dProblem& branch = p.conv[m];
          const int64_t weights_block = (offsets.at[m + 1] - offsets.at[m]) / blocks, part = weights_block / gb;
          for (int ib = 0; ib < gb; ++ib, plane += du_plane(branch)) {
            sources[m * gb + ib] = {plane,           plane_floats(1, backward_cols(branch)),
                                    kLanes,          branch.kernel,
                                    branch.dilation, packed + offsets.at[m] + block * weights_block + ib * part};
          }
        }
        DxEpilogue epilogue = dx_epilogue(p, a, n, block);
        for (int row = 0; row < conv.h; ++row) {
          convolve_row<W>(sources, p.branches * gb, conv.w,
                          [&]<int T>(int col, Vec(&acc)[T]) { epilogue.tile(static_cast<int64_t>(row * conv.w + col) * kLanes, acc); });
          if (p.close) epilogue.end_row();
          for (int i = 0; i < p.branches * gb; ++i) sources[i].x += sources[i].row_stride;
        }
        if (!p.close) continue;
        double* sums = memory.sums + (n * blocks + block) * 2 * kLanes;
        epilogue.wide_sum.store_to(sums);
        epilogue.wide_dot.store_to(sums + kLanes);
      }
    }
  });
  parallel_for(*exec.pool, blocks, [&](int64_t block, int) {
    float* sum = memory.gradients + block * chunks * gradient_block;
    for (int chunk = 1; chunk < chunks; ++chunk) {
      for (int64_t i = 0; i < gradient_block; ++i) sum[i] += sum[chunk * gradient_block + i];
    }
    for (int m = 0; m < p.branches; ++m) unpack_planes(p.conv[m], sum + offsets.at[m] / blocks, static_cast<int>(block), a.dweight[m]);
  });
  if (!p.close) return;
  parallel_for(*exec.pool, static_cast<int64_t>(blocks) * kLanes, [&](int64_t c, int) {
    double sum = 0, dot = 0;
    for (int n = 0; n < conv.n; ++n) {
      const double* sums = memory.sums + (static_cast<int64_t>(n) * blocks + c / kLanes) * 2 * kLanes + c % kLanes;
      sum += sums[0];
      dot += sums[kLanes];
    }
    set_close(a.close, static_cast<int>(c), conv.c, sum, dot, static_cast<double>(conv.n) * conv.h * conv.w);
  });
}

void planes_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const BackwardMemory memory = backward_memory(p, exec.workspace);
  close_batch_norm(p, a, du_coefficients_at(p, memory.coefficients), *exec.pool);
  for_width(width_of(p), [&]<int W>() { planes_backward_width<W>(p, a, exec, memory); });
}

}  // namespace

namespace SKNET_ISA {

const SkSplitForward sk_split_forward_planes{
    "planes", split_planes_refuse, planes_forward_workspace, planes_forward_scratch, planes_forward, packed_bytes, pack_forward};
const SkSplitBackward sk_split_backward_planes{
    "planes", split_planes_refuse, planes_backward_workspace, planes_backward_scratch, planes_backward, packed_bytes, pack_backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
