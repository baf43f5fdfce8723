// sk_split on the CPU. "planes": all branches from one copy of the input plane, statistics in the epilogue; backward builds du plane by
// plane in L2 and takes dx and all dW from there (planes.h). "composed": any shape, one convolution after the other.
#include "ops/sk_split.h"

#include "cpu/kernels.h"
#include "cpu/planes_gradient.h"
#include "cpu/sk_split_composed.h"
#include "cpu/sk_split_stats.h"

namespace sknet::cpu {
namespace {

const char* split_planes_refuse(const SkSplitProblem& p) {
  for (int m = 0; m < p.branches; ++m) {
    if (const char* reason = planes_refuse(p.conv[m])) return reason;
    if (p.conv[m].groups != p.conv[0].groups) return "branches differ in groups";
  }
  return nullptr;
}

// What follows from the problem for both directions.
struct Split {
  const Conv2dProblem& conv;
  int width, blocks, gb, units;            // gb: blocks of a unit
  int padding = 0;                         // the widest
  int64_t packed[kMaxBranches + 1] = {};   // where a branch's weights start, [block] each, and the end
  int64_t weights[kMaxBranches + 1] = {};  // the same within the gradients of one block
  PlaneShape x;

  explicit Split(const SkSplitProblem& p)
      : conv(p.conv[0]), width(planes_width_of(conv)), blocks(blocks_of(conv.c)), gb(group_blocks(width)), units(blocks / gb) {
    for (int m = 0; m < p.branches; ++m) {
      padding = max_of(padding, p.conv[m].padding);
      weights[m + 1] = weights[m] + packed_block_size(width, p.conv[m].kernel);
      packed[m + 1] = weights[m + 1] * blocks;
    }
    x = input_plane(conv, padding);
  }

  int64_t input_pixels() const { return static_cast<int64_t>(conv.h) * conv.w * kLanes; }
  int64_t output_pixels() const { return static_cast<int64_t>(conv.oh) * conv.ow * kLanes; }
  // First tap of branch m's first output in the input plane.
  int64_t first_tap(const Conv2dProblem& branch) const { return (padding - branch.padding) * (x.row() + kLanes); }
  // Packed weights that output block `block` of branch m gives to the unit's input block `part`.
  int64_t weights_at(const Conv2dProblem& branch, int m, int block, int part) const {
    return packed[m] + block * (weights[m + 1] - weights[m]) + part * packed_part_size(width, branch.kernel);
  }

  // Copies a unit's blocks of image n, with their halo.
  void fill_inputs(const void* x_memory, const Normalize& norm, int64_t n, int unit, float* planes) const {
    for (int b = 0; b < gb; ++b) {
      const int block = unit * gb + b;
      const Elem* from = static_cast<const Elem*>(x_memory) + (n * blocks + block) * input_pixels();
      float* to = planes + b * x.floats();
      if (norm.scale == nullptr) {
        fill_plane(to, x, conv.h, conv.w, [=](int64_t at) { return load(from + at); });
      } else {
        fill_plane(to, x, conv.h, conv.w,
                   [=, at_block = normalize_at(norm, block * kLanes)](int64_t at) { return at_block(load(from + at)); });
      }
    }
  }
};

size_t planes_packed(const SkSplitProblem& p) { return sizeof(float) * static_cast<size_t>(Split(p).packed[p.branches]); }

void pack_branches(const SkSplitProblem& p, const float* const* weight, bool backward, const Exec& exec) {
  const Split s(p);
  float* packed = reinterpret_cast<float*>(exec.packed);
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * s.blocks, [&](int64_t item, int) {
    const int m = static_cast<int>(item / s.blocks), block = static_cast<int>(item % s.blocks);
    pack_planes(p.conv[m], weight[m], backward, block, packed + s.weights_at(p.conv[m], m, block, 0));
  });
}

// ---------------------------------------------------------------------------------------------------- forward

// Sums of u and u^2 in float64. A row's are taken in float32 from a pixel of that row, where they are as exact as its numbers.
struct RowStatistics {
  WideSum sum, squares;
  Vec pivot{}, row_sum{}, row_squares{};

  SKNET_INLINE void add(int col, int count, const float* values) {
    if (col == 0) pivot = load(values + (count - 1) * kLanes);
    for (int t = 0; t < count; ++t) {
      const Vec d = load(values + t * kLanes) - pivot;
      row_sum += d;
      row_squares += d * d;
    }
  }
  void end_row(int pixels) {
    WideSum p, s, q;
    p.add(pivot);
    s.add(row_sum);
    q.add(row_squares);
    const double n = pixels;
    sum.low += s.low + n * p.low;
    sum.high += s.high + n * p.high;
    squares.low += q.low + p.low * (2 * s.low + n * p.low);
    squares.high += q.high + p.high * (2 * s.high + n * p.high);
    row_sum = row_squares = Vec{};
  }
};

// Workspace: float64 [M][n][block][sum, squares][kLanes].
size_t planes_forward_workspace(const SkSplitProblem& p) {
  return sizeof(double) * 2 * kLanes * static_cast<size_t>(static_cast<int64_t>(p.branches) * p.conv[0].n * blocks_of(p.conv[0].c));
}
size_t planes_forward_scratch(const SkSplitProblem& p) {
  const Split s(p);
  return sizeof(float) * static_cast<size_t>(s.gb * s.x.floats());
}

void pack_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, false, exec); }

void planes_forward(const SkSplitProblem& p, const SkSplitForwardArgs& a, const Exec& exec) {
  const Split s(p);
  const TileSet tiles = tile_set(s.width, s.conv.stride);
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  double* sums = reinterpret_cast<double*>(exec.workspace);
  const int64_t images = s.conv.n;
  // A unit's images follow each other, so that its weights stay in cache.
  parallel_for(*exec.pool, images * s.units, [&](int64_t item, int thread) {
    float* planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int unit = static_cast<int>(item / images);
    const int64_t n = item % images;
    s.fill_inputs(a.x, a.x_norm, n, unit, planes);
    for (int m = 0; m < p.branches; ++m) {
      const Conv2dProblem& branch = p.conv[m];
      const bool training = a.statistics[m].gamma != nullptr;
      for (int block = unit * s.gb; block < (unit + 1) * s.gb; ++block) {
        TapGrid grids[kMostGrids * kWidest / kLanes];
        int count = 0;
        for (int part = 0; part < s.gb; ++part) {
          count += forward_grids(branch, planes + part * s.x.floats() + s.first_tap(branch), s.x.row(),
                                 packed + s.weights_at(branch, m, block, part), grids + count);
        }
        RowStatistics statistics;
        Elem* u = static_cast<Elem*>(a.u[m]) + (n * s.blocks + block) * s.output_pixels();
        for (int row = 0; row < branch.oh; ++row, u += static_cast<int64_t>(branch.ow) * kLanes) {
          convolve_row(tiles, grids, count, branch.ow, [&](int col, int pixels, const float* values) {
            for (int t = 0; t < pixels; ++t) store(u + static_cast<int64_t>(col + t) * kLanes, load(values + t * kLanes));
            if (training) statistics.add(col, pixels, values);
          });
          if (training) statistics.end_row(branch.ow);
          for (int i = 0; i < count; ++i) grids[i].x += grids[i].next;
        }
        double* to = sums + ((m * images + n) * s.blocks + block) * 2 * kLanes;
        statistics.sum.store_to(to);
        statistics.squares.store_to(to + kLanes);
      }
    }
  });
  const double rows = static_cast<double>(images) * s.conv.oh * s.conv.ow;
  parallel_for(*exec.pool, static_cast<int64_t>(p.branches) * s.blocks, [&](int64_t item, int) {
    const int m = static_cast<int>(item / s.blocks), block = static_cast<int>(item % s.blocks);
    if (a.statistics[m].gamma == nullptr) return;
    for (int lane = 0; lane < kLanes; ++lane) {
      double sum = 0, squares = 0;
      for (int64_t n = 0; n < images; ++n) {
        const double* from = sums + ((m * images + n) * s.blocks + block) * 2 * kLanes + lane;
        sum += from[0];
        squares += from[kLanes];
      }
      const double deviations = squares - sum * sum / rows;
      set_statistics(a.statistics[m], block * kLanes + lane, s.conv.out, sum / rows, deviations > 0 ? deviations : 0 * deviations, rows);
    }
  });
}

// ---------------------------------------------------------------------------------------------------- backward

// Workspace: du's coefficients, gradients [block][chunk][packed gradients of the block], and where the gradient is closed float64
// [block][chunk][dz, dz (u - mean)][kLanes].
struct BackwardMemory {
  int chunks, per_chunk;
  int64_t coefficients, gradients, sums;  // floats
  explicit BackwardMemory(const SkSplitProblem& p, const Split& s)
      : chunks(image_chunks(s.conv.n, s.units)),
        per_chunk(ceil_div(s.conv.n, chunks)),
        coefficients((du_coefficient_floats(p) + 15) / 16 * 16),
        gradients(chunks * (s.packed[p.branches] + 15) / 16 * 16),
        sums(p.close ? 4 * static_cast<int64_t>(s.blocks) * chunks * kLanes : 0) {}
};

size_t planes_backward_workspace(const SkSplitProblem& p) {
  const BackwardMemory m(p, Split(p));
  return sizeof(float) * static_cast<size_t>(m.coefficients + m.gradients + m.sums);
}
size_t planes_backward_scratch(const SkSplitProblem& p) {
  const Split s(p);
  int64_t plane = s.x.floats();
  for (int m = 0; m < p.branches; ++m) plane += gradient_plane(p.conv[m]).floats();
  return sizeof(float) * static_cast<size_t>(s.gb * plane);
}

void pack_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, true, exec); }

// What happens to dx of one image's block.
struct WriteDx {
  Elem* dx;
  const Elem *add, *u, *output;  // or null
  NormCloseVec close{};
  WideSum sum, dot;

  WriteDx(const SkSplitBackwardArgs& a, int64_t at, int block) : dx(static_cast<Elem*>(a.dx) + at) {
    const auto of = [&](const void* memory) { return memory == nullptr ? nullptr : static_cast<const Elem*>(memory) + at; };
    u = of(a.close.u);
    add = of(u == nullptr ? a.add : a.close.add);
    output = of(a.close.output);
    if (u != nullptr) close = norm_close_at(a.close, block * kLanes);
  }
  // Pixels `step` apart from `at`.
  void tile(int64_t at, int64_t step, int pixels, const float* values) {
    Vec tile_sum{}, tile_dot{};
    for (int t = 0; t < pixels; ++t, at += step) {
      Vec v = load(values + t * kLanes);
      if (add != nullptr) v += load(add + at);
      if (u != nullptr) {
        const Vec uv = load(u + at);
        v = close.gate(v, uv, output == nullptr ? Vec{} : load(output + at));
        tile_sum += v;
        tile_dot += v * (uv - close.mean);
      }
      store(dx + at, v);
    }
    if (u == nullptr) return;
    sum.add(tile_sum);
    dot.add(tile_dot);
  }
};

// One image of one unit, with du in planes.
struct DuPlanes {
  const float* plane[kMaxBranches];  // [block of the unit] each
  PlaneShape shape[kMaxBranches];
};

void unit_dx(const SkSplitProblem& p, const Split& s, const TileSet& tiles, const float* packed, const DuPlanes& du, int block,
             WriteDx& write) {
  const Conv2dProblem& conv = s.conv;
  const int stride = conv.stride;
  for_phases(conv, [&](int phase_row, int phase_col) {
    TapGrid grids[kMaxBranches * kWidest / kLanes];
    int count = 0;
    for (int m = 0; m < p.branches; ++m) {
      for (int part = 0; part < s.gb; ++part) {
        const TapGrid grid = backward_grid(p.conv[m], du.plane[m] + part * du.shape[m].floats(),
                                           packed + s.weights_at(p.conv[m], m, block, part), phase_row, phase_col);
        if (grid.rows > 0) grids[count++] = grid;
      }
    }
    for (int row = phase_row; row < conv.h; row += stride) {
      convolve_row(tiles, grids, count, ceil_div(conv.w - phase_col, stride), [&](int col, int pixels, const float* values) {
        const int64_t pixel = static_cast<int64_t>(row) * conv.w + phase_col + col * stride;
        write.tile(pixel * kLanes, static_cast<int64_t>(stride) * kLanes, pixels, values);
      });
      for (int i = 0; i < count; ++i) grids[i].x += grids[i].next;
    }
  });
}

void planes_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) {
  const Split s(p);
  const BackwardMemory memory(p, s);
  const TileSet tiles = tile_set(s.width, 1);
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  float* workspace = reinterpret_cast<float*>(exec.workspace);
  const DuCoefficients coefficients = du_coefficients_at(p, workspace);
  float* gradients = workspace + memory.coefficients;
  const bool closes = a.dx != nullptr && a.close.u != nullptr;
  double* sums = reinterpret_cast<double*>(gradients + memory.gradients);
  const int chunks = memory.chunks;
  const int64_t gradient_block = s.weights[p.branches];
  close_branches(p, a, coefficients, *exec.pool);
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * s.units, [&](int64_t item, int thread) {
    float* x_planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int chunk = static_cast<int>(item % chunks), unit = static_cast<int>(item / chunks), block0 = unit * s.gb;
    const auto gradient_of = [&](int block) { return gradients + (static_cast<int64_t>(block) * chunks + chunk) * gradient_block; };
    const auto sums_of = [&](int block) { return sums + (static_cast<int64_t>(block) * chunks + chunk) * 2 * kLanes; };
    for (int block = block0; block < block0 + s.gb; ++block) {
      zero_floats(gradient_of(block), gradient_block);
      for (int i = 0; closes && i < 2 * kLanes; ++i) sums_of(block)[i] = 0;
    }
    for (int n = chunk * memory.per_chunk; n < min_of(s.conv.n, (chunk + 1) * memory.per_chunk); ++n) {
      s.fill_inputs(a.x, a.x_norm, n, unit, x_planes);
      DuPlanes du;
      float* plane = x_planes + s.gb * s.x.floats();
      for (int m = 0; m < p.branches; ++m) {
        const Conv2dProblem& branch = p.conv[m];
        const PlaneShape& shape = du.shape[m] = gradient_plane(branch);
        du.plane[m] = plane;
        for (int b = 0; b < s.gb; ++b, plane += shape.floats()) {
          fill_plane(plane, shape, branch.oh, branch.ow, make_du_at(p, a, coefficients, m, n, block0 + b));
          for (int part = 0; part < s.gb; ++part) {
            const float* x = x_planes + part * s.x.floats() + s.first_tap(branch);
            const GradientPlanes g{x,           s.x.row(), branch.stride, branch.kernel,         branch.dilation, plane + shape.origin(),
                                   shape.row(), branch.oh, branch.ow,     shape.cols - branch.ow};
            gradient_taps(s.width, g, gradient_of(block0 + b) + s.weights[m] + part * packed_part_size(s.width, branch.kernel));
          }
        }
      }
      if (a.dx == nullptr) continue;
      for (int block = block0; block < block0 + s.gb; ++block) {
        WriteDx write(a, (static_cast<int64_t>(n) * s.blocks + block) * s.input_pixels(), block);
        unit_dx(p, s, tiles, packed, du, block, write);
        if (!closes) continue;
        double image[2 * kLanes];
        write.sum.store_to(image);
        write.dot.store_to(image + kLanes);
        for (int i = 0; i < 2 * kLanes; ++i) sums_of(block)[i] += image[i];
      }
    }
  });
  parallel_for(*exec.pool, s.blocks, [&](int64_t item, int) {
    const int block = static_cast<int>(item);
    const float* gradient = sum_chunks(gradients + block * chunks * gradient_block, chunks, gradient_block);
    for (int m = 0; m < p.branches; ++m) unpack_planes(p.conv[m], gradient + s.weights[m], block, a.dweight[m]);
    if (!closes) return;
    for (int lane = 0; lane < kLanes; ++lane) {
      double sum = 0, dot = 0;
      for (int chunk = 0; chunk < chunks; ++chunk) {
        const double* from = sums + (static_cast<int64_t>(block) * chunks + chunk) * 2 * kLanes + lane;
        sum += from[0];
        dot += from[kLanes];
      }
      set_close(a.close, block * kLanes + lane, s.conv.c, sum, dot, static_cast<double>(s.conv.n) * s.conv.h * s.conv.w);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const SkSplitForward sk_split_forward_planes{
    "planes", split_planes_refuse, planes_forward_workspace, planes_forward_scratch, planes_forward, planes_packed, pack_forward};
const SkSplitForward sk_split_forward_composed{"composed", composed_forward_refuse, composed_forward_workspace, composed_forward_scratch,
                                               composed_forward};
const SkSplitBackward sk_split_backward_planes{
    "planes", split_planes_refuse, planes_backward_workspace, planes_backward_scratch, planes_backward, planes_packed, pack_backward};
const SkSplitBackward sk_split_backward_composed{"composed", composed_backward_refuse, composed_backward_workspace,
                                                 composed_backward_scratch, composed_backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
