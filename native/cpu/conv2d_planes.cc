// conv2d on the CPU, candidate "planes": grouped and depthwise convolutions (planes.h).
#include "core/thread_pool.h"
#include "cpu/bias_gradient.h"
#include "cpu/kernels.h"
#include "cpu/planes_gradient.h"
#include "ops/conv2d.h"

namespace sknet::cpu {
namespace {

const char* refuse(const Conv2dProblem& p) {
  const Conv2dFusion& f = p.fusion;
  if (f.x_rows || f.x_norm || f.x_branches > 0 || f.statistics || f.y_norm || f.dy_norm || f.close) return "fused";
  return planes_refuse(p);
}

struct Shape {
  int width, blocks, gb, parts, units;  // gb: blocks of a unit, and planes that they are read from
  int64_t part, weights;                // packed weights of a part of a block, of a block
  explicit Shape(const Conv2dProblem& p)
      : width(planes_width_of(p)),
        blocks(blocks_of(p.c)),
        gb(group_blocks(width)),
        parts(group_parts(width)),
        units(blocks / gb),
        part(packed_part_size(width, p.kernel)),
        weights(packed_block_size(width, p.kernel)) {}
};

size_t packed(const Conv2dProblem& p) { return sizeof(float) * static_cast<size_t>(packed_planes_size(p)); }

void pack(const Conv2dProblem& p, const float* weight, bool backward, const Exec& exec) {
  const Shape s(p);
  float* to = reinterpret_cast<float*>(exec.packed);
  parallel_for(*exec.pool, s.blocks,
               [&](int64_t block, int) { pack_planes(p, weight, backward, static_cast<int>(block), to + block * s.weights); });
}
void pack_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) { pack(p, a.weight, false, exec); }
void pack_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) { pack(p, a.weight, true, exec); }

float* scratch_of(const Exec& exec, int thread) { return reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride); }

// Copies the blocks of a unit of image n with their halo.
void fill_unit(const void* memory, const Shape& s, const PlaneShape& plane, int h, int w, int64_t n, int unit, float* planes) {
  for (int b = 0; b < s.gb; ++b) {
    const Elem* from = static_cast<const Elem*>(memory) + (n * s.blocks + unit * s.gb + b) * h * w * kLanes;
    fill_plane(plane.block(planes, b), plane, h, w, [=](int64_t at) { return load(from + at); });
  }
}

// ---------------------------------------------------------------------------------------------------- forward

size_t forward_scratch(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(Shape(p).parts * input_plane(p, p.padding).floats());
}

void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const Shape s(p);
  const PlaneShape x = input_plane(p, p.padding);
  const TileSet tiles = tile_set(s.width, p.stride);
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * s.units, [&](int64_t item, int thread) {
    float* planes = scratch_of(exec, thread);
    const int unit = static_cast<int>(item / p.n);
    const int64_t n = item % p.n;
    fill_unit(a.x, s, x, p.h, p.w, n, unit, planes);
    for (int block = unit * s.gb; block < (unit + 1) * s.gb; ++block) {
      TapGrid grids[kMostGrids * kWidest / kLanes];
      int count = 0;
      for (int part = 0; part < s.parts; ++part) {
        count +=
            forward_grids(p, operands(planes + part * x.floats()), x, operands(packed + block * s.weights + part * s.part), grids + count);
      }
      const Vec bias = a.bias == nullptr ? Vec{} : load(a.bias + block * kLanes);
      Elem* y = static_cast<Elem*>(a.y) + (n * s.blocks + block) * p.oh * p.ow * kLanes;
      convolve_rows(tiles, grids, count, p.oh, p.ow, [&](int row, int col, int pixels, const float* values) {
        Elem* to = y + (static_cast<int64_t>(row) * p.ow + col) * kLanes;
        for (int t = 0; t < pixels; ++t) store(to + t * kLanes, load(values + t * kLanes) + bias);
      });
    }
  });
}

// ---------------------------------------------------------------------------------------------------- backward_data

size_t backward_data_scratch(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(Shape(p).parts * gradient_plane(p).floats());
}

void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const Shape s(p);
  const PlaneShape dy = gradient_plane(p);
  const TileSet tiles = tile_set(s.width, 1);
  const float* packed = reinterpret_cast<const float*>(exec.packed);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * s.units, [&](int64_t item, int thread) {
    float* planes = scratch_of(exec, thread);
    const int unit = static_cast<int>(item / p.n);
    const int64_t n = item % p.n;
    fill_unit(a.dy, s, dy, p.oh, p.ow, n, unit, planes);
    for (int block = unit * s.gb; block < (unit + 1) * s.gb; ++block) {
      const int64_t image = (n * s.blocks + block) * p.h * p.w * kLanes;
      Elem* dx = static_cast<Elem*>(a.dx) + image;
      const Elem* add = a.add == nullptr ? nullptr : static_cast<const Elem*>(a.add) + image;
      for_phases(p, [&](int phase_row, int phase_col) {
        TapGrid grids[kWidest / kLanes];
        int count = 0;
        for (int part = 0; part < s.parts; ++part) {
          const TapGrid grid = backward_grid(p, operands(planes + part * dy.floats()), operands(packed + block * s.weights + part * s.part),
                                             phase_row, phase_col);
          if (grid.rows > 0) grids[count++] = grid;
        }
        const int rows = ceil_div(p.h - phase_row, p.stride), cols = ceil_div(p.w - phase_col, p.stride);
        convolve_rows(tiles, grids, count, rows, cols, [&](int row, int col, int pixels, const float* values) {
          int64_t at = (static_cast<int64_t>(phase_row + row * p.stride) * p.w + phase_col + col * p.stride) * kLanes;
          for (int t = 0; t < pixels; ++t, at += p.stride * kLanes) {
            const Vec v = load(values + t * kLanes);
            store(dx + at, add == nullptr ? v : load(add + at) + v);
          }
        });
      });
    }
  });
}

// ---------------------------------------------------------------------------------------------------- backward_weight

// Gradients [block][chunk][packed gradients of the block].
size_t backward_weight_workspace(const Conv2dProblem& p) { return packed(p) * static_cast<size_t>(image_chunks(p.n, Shape(p).units)); }

size_t backward_weight_scratch(const Conv2dProblem& p) {
  const Shape s(p);
  const int copies = images_together(s.width) > 1 ? 3 : 1;  // two images and the laced planes
  int64_t floats = copies * s.parts * (input_plane(p, p.padding).floats() + gradient_plane(p).floats());
#if defined(__AMX_BF16__)
  const GradientRows rows(input_plane(p, p.padding), p, 1);
  if (tiled(s.width)) floats += s.gb * rows.x_floats() + rows.dy_floats() + rows.flat_floats();
#endif
  return sizeof(float) * static_cast<size_t>(floats);
}

#if defined(__AMX_BF16__)
// Adds one image's weight gradients to gradient(b) + part * s.part. rows_memory: behind the planes.
template <class Gradient>
void add_tiled(const Conv2dProblem& p, const Shape& s, float* x_planes, float* dy_planes, float* rows_memory, const Gradient& gradient) {
  const PlaneShape x = input_plane(p, p.padding), dy = gradient_plane(p);
  const GradientRows rows(x, p, 1);
  float *dy_rows = rows_memory + s.gb * rows.x_floats(), *flat = dy_rows + rows.dy_floats();
  for (int part = 0; part < s.gb; ++part) {
    const Operand* plane = x.block(x_planes, part);
    rows_of_planes(rows, &plane, operands(flat), operands(rows_memory + part * rows.x_floats()));
  }
  for (int b = 0; b < s.gb; ++b) {
    const Operand* plane = dy.block(dy_planes, b) + dy.origin();
    lace_gradient(rows, &plane, dy, operands(dy_rows));
    for (int part = 0; part < s.gb; ++part) {
      float* to = gradient(b) + part / x.side * s.part + part % x.side * kLanes * kLanes;
      gradient_rows(rows, p, 0, operands(rows_memory + part * rows.x_floats()), operands(dy_rows), to);
    }
  }
}
#endif

void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const Shape s(p);
  const PlaneShape x = input_plane(p, p.padding), dy = gradient_plane(p);
  const int chunks = image_chunks(p.n, s.units), per_chunk = ceil_div(p.n, chunks), together = images_together(s.width);
  float* gradients = reinterpret_cast<float*>(exec.workspace);
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * s.units, [&](int64_t item, int thread) {
    const int64_t x_floats = s.parts * x.floats(), dy_floats = s.parts * dy.floats();
    float* x_planes = scratch_of(exec, thread);
    float* dy_planes = x_planes + (together == 1 ? 1 : 3) * x_floats;
    const int chunk = static_cast<int>(item % chunks), unit = static_cast<int>(item / chunks);
    const auto gradient_of = [&](int b) { return gradients + (static_cast<int64_t>(unit * s.gb + b) * chunks + chunk) * s.weights; };
    for (int b = 0; b < s.gb; ++b) zero_floats(gradient_of(b), s.weights);
    const int end = min_of(p.n, (chunk + 1) * per_chunk);
    for (int n = chunk * per_chunk; n < end; n += together) {
      const int images = min_of(together, end - n);
      for (int i = 0; i < images; ++i) {
        fill_unit(a.x, s, x, p.h, p.w, n + i, unit, x_planes + i * x_floats);
        fill_unit(a.dy, s, dy, p.oh, p.ow, n + i, unit, dy_planes + i * dy_floats);
      }
#if defined(__AMX_BF16__)
      if (tiled(s.width)) {
        add_tiled(p, s, x_planes, dy_planes, dy_planes + dy_floats, gradient_of);
        continue;
      }
#endif
      const auto laced = [&](float* planes, int64_t floats) {
        if (together == 1) return planes;
        lace_planes(planes, images == 1 ? nullptr : planes + floats, s.gb, floats / s.gb, planes + 2 * floats);
        return planes + 2 * floats;
      };
      const float *x_read = laced(x_planes, x_floats), *dy_read = laced(dy_planes, dy_floats);
      for (int b = 0; b < s.gb; ++b) {
        for (int part = 0; part < s.gb; ++part) {
          const GradientPlanes g{operands(x_read + part * x.floats()),
                                 together * x.row(),
                                 p.stride,
                                 p.kernel,
                                 p.dilation,
                                 operands(dy_read + b * dy.floats()) + together * dy.origin(),
                                 together * dy.row(),
                                 p.oh,
                                 p.ow,
                                 dy.cols - p.ow,
                                 p.padding,
                                 p.h,
                                 p.w};
          gradient_taps(s.width, g, gradient_of(b) + part * s.part);
        }
      }
    }
  });
  parallel_for(*exec.pool, s.blocks, [&](int64_t block, int) {
    unpack_planes(p, sum_chunks(gradients + block * chunks * s.weights, chunks, s.weights), static_cast<int>(block), a.dweight);
  });
  if (a.dbias == nullptr) return;
  const Grid grid = grid_of(p, p.oh * p.ow, p.out);
  bias_gradient(PointSource<PlainRead>{{static_cast<const Elem*>(a.dy)}, grid, p.ow, p.ow, 1, s.blocks}, p.out, a.dbias, *exec.pool);
}

}  // namespace

namespace SKNET_ISA {

const Conv2dForward conv2d_forward_planes{"planes", refuse, nullptr, forward_scratch, forward, packed, pack_forward};
const Conv2dBackwardData conv2d_backward_data_planes{"planes",      refuse, nullptr,           backward_data_scratch,
                                                     backward_data, packed, pack_backward_data};
const Conv2dBackwardWeight conv2d_backward_weight_planes{"planes", refuse, backward_weight_workspace, backward_weight_scratch,
                                                         backward_weight};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
