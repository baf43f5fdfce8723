// sk_split on the CPU. "planes": all branches from one copy of the input plane, statistics in the epilogue; backward builds du plane by
// plane in L2 and takes dx and all dW from there (planes.h). "composed": any shape, one convolution after the other.
#include "ops/sk_split.h"

#include "cpu/kernels.h"
#include "cpu/planes_gradient.h"
#include "cpu/sk_split_composed.h"
#include "cpu/sk_split_planes.h"
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

// Workspace: float64 [M][n][block][sum, squares][kLanes].
size_t planes_forward_workspace(const SkSplitProblem& p) {
  return sizeof(double) * 2 * kLanes * static_cast<size_t>(static_cast<int64_t>(p.branches) * p.conv[0].n * blocks_of(p.conv[0].c));
}
size_t planes_forward_scratch(const SkSplitProblem& p) {
  const Split s(p);
  return sizeof(float) * static_cast<size_t>(s.parts * s.x.floats());
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
        for (int part = 0; part < s.parts; ++part) {
          count += forward_grids(branch, operands(planes + part * s.x.floats()) + s.first_tap(branch), s.x,
                                 operands(packed + s.weights_at(branch, m, block, part)), grids + count);
        }
        const bool past = past_cache(a.u[m], images * s.blocks * s.output_pixels());
        RunStatistics statistics;
        Elem* u = static_cast<Elem*>(a.u[m]) + (n * s.blocks + block) * s.output_pixels();
        convolve_rows(tiles, grids, count, branch.oh, branch.ow, [&](int row, int col, int pixels, const float* values) {
          Elem* to = u + (static_cast<int64_t>(row) * branch.ow + col) * kLanes;
          if (past) {
            for (int t = 0; t < pixels; ++t) store_past_cache(to + t * kLanes, load(values + t * kLanes));
          } else {
            for (int t = 0; t < pixels; ++t) store(to + t * kLanes, load(values + t * kLanes));
          }
          if (!training) return;
          statistics.add(pixels, values);
          if (col + pixels == branch.ow && statistics.run >= RunStatistics::kEnough) statistics.end_run();
        });
        if (statistics.run > 0) statistics.end_run();
        double* to = sums + ((m * images + n) * s.blocks + block) * 2 * kLanes;
        statistics.sum.store_to(to);
        statistics.squares.store_to(to + kLanes);
      }
    }
    end_past_cache();
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

// A thread's planes (from null: their size): of every image worked on together, and the laced ones where images are laced; of tiled blocks
// the rows of planes_gradient_tiles.h instead.
struct BackwardPlanes {
  int together;
  int64_t floats = 0;
  float *x[kDot], *x_laced = nullptr;
  float *du[kDot][kMaxBranches], *du_laced[kMaxBranches] = {}, *flat = nullptr;

  BackwardPlanes(const SkSplitProblem& p, const Split& s, float* memory) : together(images_together(s.width)) {
#if defined(__AMX_BF16__)
    if (tiled(s.width)) together = images_in_rows(s.x, s.conv);
#endif
    const auto take = [&](int64_t plane, int planes) {
      float* at = memory == nullptr ? nullptr : memory + floats;
      floats += planes * plane;
      return at;
    };
    for (int i = 0; i < kDot; ++i) {
      x[i] = i < together ? take(s.x.floats(), s.parts) : x[0];
      for (int m = 0; m < p.branches; ++m) du[i][m] = i < together ? take(gradient_plane(p.conv[m]).floats(), s.parts) : du[0][m];
    }
#if defined(__AMX_BF16__)
    if (tiled(s.width)) {
      const GradientRows rows(s.x, s.conv, together);
      x_laced = take(rows.x_floats(), s.gb);
      for (int m = 0; m < p.branches; ++m) du_laced[m] = take(rows.dy_floats(), s.gb);
      flat = take(rows.flat_floats(), 1);
      return;
    }
#endif
    if (together == 1) return;
    x_laced = take(s.x.floats(), s.parts);
    for (int m = 0; m < p.branches; ++m) du_laced[m] = take(gradient_plane(p.conv[m]).floats(), s.parts);
  }
};

size_t planes_backward_workspace(const SkSplitProblem& p) {
  const BackwardMemory m(p, Split(p));
  return sizeof(float) * static_cast<size_t>(m.coefficients + m.gradients + m.sums);
}
size_t planes_backward_scratch(const SkSplitProblem& p) {
  const Split s(p);
  return sizeof(float) * static_cast<size_t>(BackwardPlanes(p, s, nullptr).floats);
}

void pack_backward(const SkSplitProblem& p, const SkSplitBackwardArgs& a, const Exec& exec) { pack_branches(p, a.weight, true, exec); }

#if defined(__AMX_BF16__)
// unit_dweight() of tiled blocks.
template <class Gradient>
void unit_dweight_tiled(const SkSplitProblem& p, const Split& s, const BackwardPlanes& planes, int images, const Gradient& gradient) {
  const GradientRows rows(s.x, s.conv, images);
  const Operand* from[kDot];
  for (int part = 0; part < s.gb; ++part) {
    for (int i = 0; i < images; ++i) from[i] = s.x.block(planes.x[i], part);
    rows_of_planes(rows, from, operands(planes.flat), operands(planes.x_laced + part * rows.x_floats()));
  }
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    const PlaneShape shape = gradient_plane(conv);
    for (int block = 0; block < s.gb; ++block) {
      Operand* du = operands(planes.du_laced[m] + block * rows.dy_floats());
      for (int i = 0; i < images; ++i) from[i] = shape.block(planes.du[i][m], block) + shape.origin();
      lace_gradient(rows, from, shape, du);
      for (int part = 0; part < s.gb; ++part) {
        gradient_rows(rows, conv, s.padding - conv.padding, operands(planes.x_laced + part * rows.x_floats()), du,
                      gradient(m, block, part));
      }
    }
  }
}
#endif

// Adds the planes' weight gradients of every branch, output and input block of the unit to gradient(branch, block, part).
template <class Gradient>
void unit_dweight(const SkSplitProblem& p, const Split& s, const BackwardPlanes& planes, int images, const Gradient& gradient) {
#if defined(__AMX_BF16__)
  if (tiled(s.width)) return unit_dweight_tiled(p, s, planes, images, gradient);
#endif
  const int lanes = planes.together * kLanes;  // operands of a pixel
  const int64_t x_plane = s.x.floats();
  const auto read = [&](const float* first, const float* second, int64_t floats, float* laced) {
    if (planes.together > 1) lace_planes(first, images == 1 ? nullptr : second, s.gb, floats, laced);
    return planes.together > 1 ? laced : first;
  };
  const float* x = read(planes.x[0], planes.x[kDot - 1], x_plane, planes.x_laced);
  for (int m = 0; m < p.branches; ++m) {
    const Conv2dProblem& conv = p.conv[m];
    const PlaneShape shape = gradient_plane(conv);
    const float* du = read(planes.du[0][m], planes.du[kDot - 1][m], shape.floats(), planes.du_laced[m]);
    for (int block = 0; block < s.gb; ++block) {
      for (int part = 0; part < s.gb; ++part) {
        const GradientPlanes g{operands(x + part * x_plane) + planes.together * s.first_tap(conv),
                               s.x.cols * lanes,
                               conv.stride,
                               conv.kernel,
                               conv.dilation,
                               operands(du + block * shape.floats()) + planes.together * shape.origin(),
                               shape.cols * lanes,
                               conv.oh,
                               conv.ow,
                               shape.cols - conv.ow,
                               conv.padding,
                               conv.h,
                               conv.w};
        gradient_taps(s.width, g, gradient(m, block, part));
      }
    }
  }
}

// dx of one image's block, from the unit's planes of du.
void unit_dx(const SkSplitProblem& p, const Split& s, const TileSet& tiles, const float* packed, float* const* du, int block,
             WriteDx& write) {
  const Conv2dProblem& conv = s.conv;
  const int stride = conv.stride;
  for_phases(conv, [&](int phase_row, int phase_col) {
    TapGrid grids[kMaxBranches * kWidest / kLanes];
    int count = 0;
    for (int m = 0; m < p.branches; ++m) {
      for (int part = 0; part < s.parts; ++part) {
        const TapGrid grid = backward_grid(p.conv[m], operands(du[m] + part * gradient_plane(p.conv[m]).floats()),
                                           operands(packed + s.weights_at(p.conv[m], m, block, part)), phase_row, phase_col);
        if (grid.rows > 0) grids[count++] = grid;
      }
    }
    const int rows = ceil_div(conv.h - phase_row, stride), cols = ceil_div(conv.w - phase_col, stride);
    convolve_rows(tiles, grids, count, rows, cols, [&](int row, int col, int pixels, const float* values) {
      const int64_t pixel = static_cast<int64_t>(phase_row + row * stride) * conv.w + phase_col + col * stride;
      write.tile(pixel * kLanes, static_cast<int64_t>(stride) * kLanes, pixels, values);
    });
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
  const bool past = past_cache(a.dx, s.conv.n * s.blocks * s.input_pixels(), s.conv.stride);
  const bool closes = a.dx != nullptr && a.close.u != nullptr;
  double* sums = reinterpret_cast<double*>(gradients + memory.gradients);
  const int chunks = memory.chunks;
  const int64_t gradient_block = s.weights[p.branches];
  close_branches(p, a, coefficients, *exec.pool);
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * s.units, [&](int64_t item, int thread) {
    const BackwardPlanes planes(p, s, reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride));
    const int chunk = static_cast<int>(item % chunks), unit = static_cast<int>(item / chunks), block0 = unit * s.gb;
    const auto gradient_of = [&](int block) { return gradients + (static_cast<int64_t>(block) * chunks + chunk) * gradient_block; };
    const auto sums_of = [&](int block) { return sums + (static_cast<int64_t>(block) * chunks + chunk) * 2 * kLanes; };
    for (int block = block0; block < block0 + s.gb; ++block) {
      zero_floats(gradient_of(block), gradient_block);
      for (int i = 0; closes && i < 2 * kLanes; ++i) sums_of(block)[i] = 0;
    }
    const int end = min_of(s.conv.n, (chunk + 1) * memory.per_chunk);
    for (int n = chunk * memory.per_chunk; n < end; n += planes.together) {
      const int images = min_of(planes.together, end - n);
      for (int i = 0; i < images; ++i) {
        s.fill_inputs(a.x, a.x_norm, n + i, unit, planes.x[i]);
        for (int m = 0; m < p.branches; ++m) {
          const PlaneShape shape = gradient_plane(p.conv[m]);
          for (int b = 0; b < s.gb; ++b) {
            fill_plane(shape.block(planes.du[i][m], b), shape, s.conv.oh, s.conv.ow, make_du_at(p, a, coefficients, m, n + i, block0 + b));
          }
        }
      }
      unit_dweight(p, s, planes, images, [&](int m, int block, int part) {
        const int side = side_by_side(s.width);
        return gradient_of(block0 + block) + s.weights[m] + part / side * packed_part_size(s.width, p.conv[m].kernel) +
               part % side * kLanes * kLanes;
      });
      if (a.dx == nullptr) continue;
      for (int i = 0; i < images; ++i) {
        for (int block = block0; block < block0 + s.gb; ++block) {
          WriteDx write(a, (static_cast<int64_t>(n + i) * s.blocks + block) * s.input_pixels(), block, past);
          unit_dx(p, s, tiles, packed, planes.du[i], block, write);
          if (!closes) continue;
          double image[2 * kLanes];
          write.sum.store_to(image);
          write.dot.store_to(image + kLanes);
          for (int j = 0; j < 2 * kLanes; ++j) sums_of(block)[j] += image[j];
        }
      }
    }
    end_past_cache();
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
