// conv2d on the CPU, candidate "planes": grouped and depthwise convolutions (planes.h).
#include "core/exec.h"
#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/planes.h"

namespace sknet::cpu {
namespace {

int64_t forward_plane(const Conv2dProblem& p) { return plane_floats(p.h + 2 * p.padding, p.w + 2 * p.padding); }
int64_t backward_plane(const Conv2dProblem& p) { return plane_floats(backward_rows(p), backward_cols(p)); }
int width_of(const Conv2dProblem& p) { return p.c / p.groups; }

void pack_all(const Conv2dProblem& p, const float* weight, bool backward, float* packed, const Exec& exec) {
  const int blocks = blocks_of(p.c);
  const int64_t size = packed_planes_size(p.c, width_of(p), p.kernel) / blocks;
  parallel_for(*exec.pool, blocks,
               [&](int64_t block, int) { pack_planes(p, weight, backward, static_cast<int>(block), packed + block * size); });
}

size_t planes_packed_bytes(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(packed_planes_size(p.c, width_of(p), p.kernel));
}

size_t planes_forward_scratch(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(group_blocks(width_of(p)) * forward_plane(p));
}

template <int W>
void planes_forward_width(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const int width = width_of(p), blocks = blocks_of(p.c), gb = group_blocks(width);
  const int64_t weights_block = packed_planes_size(p.c, width, p.kernel) / blocks, weights_part = weights_block / gb;
  const float* packed = reinterpret_cast<const float*>(exec.workspace);
  const int cols = p.w + 2 * p.padding;
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int thread) {
    float* planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int64_t n = item / blocks;
    const int block = static_cast<int>(item % blocks), c0 = block * kLanes;
    TapSource sources[64];
    for (int ib = 0; ib < gb; ++ib) {
      const Plane plane{planes + ib * forward_plane(p), p.h + 2 * p.padding, cols};
      fill_plane(plane, static_cast<const Elem*>(a.x) + block_offset(n, first_block(width, block) + ib, p.c, p.h * p.w), p.h, p.w,
                 p.padding, p.padding);
      sources[ib] = {plane.data,
                     plane_floats(1, cols),
                     static_cast<int64_t>(p.stride) * kLanes,
                     p.kernel,
                     p.dilation,
                     packed + block * weights_block + ib * weights_part};
    }
    const Vec bias = a.bias == nullptr ? Vec{} : load(a.bias + c0);
    for (int row = 0; row < p.oh; ++row) {
      Elem* y = static_cast<Elem*>(a.y) + block_offset(n, block, p.out, p.oh * p.ow) + static_cast<int64_t>(row) * p.ow * kLanes;
      convolve_row<W>(sources, gb, p.ow, [&]<int T>(int col, Vec(&acc)[T]) {
#pragma GCC unroll 16
        for (int t = 0; t < T; ++t) acc[t] += bias;
        store_pixels(acc, y + static_cast<int64_t>(col) * kLanes, static_cast<const Elem*>(nullptr));
      });
      for (int ib = 0; ib < gb; ++ib) sources[ib].x += p.stride * sources[ib].row_stride;
    }
  });
}

void planes_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  pack_all(p, a.weight, false, reinterpret_cast<float*>(exec.workspace), exec);
  for_width(width_of(p), [&]<int W>() { planes_forward_width<W>(p, a, exec); });
}

size_t planes_backward_data_scratch(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(group_blocks(width_of(p)) * backward_plane(p));
}

// Spreads dy's block into its plane (see backward_lead).
void fill_backward_plane(const Conv2dProblem& p, const Elem* dy, float* data) {
  const int lead = backward_lead(p), cols = backward_cols(p);
  zero_floats(data, backward_plane(p));
  for (int row = 0; row < p.oh; ++row) {
    float* dst = data + plane_floats(lead + row * p.stride, cols) + static_cast<int64_t>(lead) * kLanes;
    for (int col = 0; col < p.ow; ++col, dy += kLanes) store(dst + col * p.stride * kLanes, load(dy));
  }
}

template <int W>
void planes_backward_data_width(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const int width = width_of(p), blocks = blocks_of(p.c), gb = group_blocks(width);
  const int64_t weights_block = packed_planes_size(p.c, width, p.kernel) / blocks, weights_part = weights_block / gb;
  const float* packed = reinterpret_cast<const float*>(exec.workspace);
  const int cols = backward_cols(p);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int thread) {
    float* planes = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    const int64_t n = item / blocks;
    const int block = static_cast<int>(item % blocks);
    TapSource sources[64];
    for (int ib = 0; ib < gb; ++ib) {
      float* plane = planes + ib * backward_plane(p);
      fill_backward_plane(p, static_cast<const Elem*>(a.dy) + block_offset(n, first_block(width, block) + ib, p.out, p.oh * p.ow), plane);
      sources[ib] = {plane, plane_floats(1, cols), kLanes, p.kernel, p.dilation, packed + block * weights_block + ib * weights_part};
    }
    for (int row = 0; row < p.h; ++row) {
      const int64_t at = block_offset(n, block, p.c, p.h * p.w) + static_cast<int64_t>(row) * p.w * kLanes;
      Elem* dx = static_cast<Elem*>(a.dx) + at;
      const Elem* add = a.add == nullptr ? nullptr : static_cast<const Elem*>(a.add) + at;
      convolve_row<W>(sources, gb, p.w, [&]<int T>(int col, Vec(&acc)[T]) {
        store_pixels(acc, dx + static_cast<int64_t>(col) * kLanes, add == nullptr ? nullptr : add + static_cast<int64_t>(col) * kLanes);
      });
      for (int ib = 0; ib < gb; ++ib) sources[ib].x += sources[ib].row_stride;
    }
  });
}

void planes_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  pack_all(p, a.weight, true, reinterpret_cast<float*>(exec.workspace), exec);
  for_width(width_of(p), [&]<int W>() { planes_backward_data_width<W>(p, a, exec); });
}

size_t planes_backward_weight_workspace(const Conv2dProblem& p) {
  return planes_packed_bytes(p) * static_cast<size_t>(image_chunks(p.n, blocks_of(p.c)));
}

size_t planes_backward_weight_scratch(const Conv2dProblem& p) {
  return sizeof(float) * static_cast<size_t>(group_blocks(width_of(p)) * forward_plane(p) + plane_floats(p.oh, p.ow));
}

template <int W>
void planes_backward_weight_width(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const int width = width_of(p), blocks = blocks_of(p.c), gb = group_blocks(width), chunks = image_chunks(p.n, blocks);
  const int64_t gradient_block = packed_planes_size(p.c, width, p.kernel) / blocks, gradient_part = gradient_block / gb;
  float* gradients = reinterpret_cast<float*>(exec.workspace);  // [block][chunk][gradient_block]
  const int cols = p.w + 2 * p.padding, per_chunk = ceil_div(p.n, chunks);
  parallel_for(*exec.pool, static_cast<int64_t>(chunks) * blocks, [&](int64_t item, int thread) {
    float* dy = reinterpret_cast<float*>(exec.scratch + thread * exec.scratch_stride);
    float* planes = dy + plane_floats(p.oh, p.ow);
    const int chunk = static_cast<int>(item / blocks), block = static_cast<int>(item % blocks);
    float* gradient = gradients + (static_cast<int64_t>(block) * chunks + chunk) * gradient_block;
    zero_floats(gradient, gradient_block);
    for (int64_t n = static_cast<int64_t>(chunk) * per_chunk; n < min_of<int64_t>(p.n, (chunk + 1) * static_cast<int64_t>(per_chunk));
         ++n) {
      fill_plane({dy, p.oh, p.ow}, static_cast<const Elem*>(a.dy) + block_offset(n, block, p.out, p.oh * p.ow), p.oh, p.ow, 0, 0);
      for (int ib = 0; ib < gb; ++ib) {
        const Plane plane{planes + ib * forward_plane(p), p.h + 2 * p.padding, cols};
        fill_plane(plane, static_cast<const Elem*>(a.x) + block_offset(n, first_block(width, block) + ib, p.c, p.h * p.w), p.h, p.w,
                   p.padding, p.padding);
        const GradientPlanes g{plane.data, plane_floats(1, cols), p.stride, p.kernel, p.dilation,
                               dy,         plane_floats(1, p.ow), kLanes,   p.oh,     p.ow};
        gradient_taps<W>(g, gradient + ib * gradient_part);
      }
    }
  });
  parallel_for(*exec.pool, blocks, [&](int64_t block, int) {
    float* sum = gradients + block * chunks * gradient_block;
    for (int chunk = 1; chunk < chunks; ++chunk) {
      for (int64_t i = 0; i < gradient_block; ++i) sum[i] += sum[chunk * gradient_block + i];
    }
    unpack_planes(p, sum, static_cast<int>(block), a.dweight);
  });
}

void bias_gradient(const Conv2dProblem& p, const Elem* dy, float* dbias, const Exec& exec) {
  parallel_for(*exec.pool, blocks_of(p.out), [&](int64_t block, int) {
    WideSum total;
    for (int64_t n = 0; n < p.n; ++n) {
      const Elem* plane = dy + block_offset(n, static_cast<int>(block), p.out, p.oh * p.ow);
      Vec sum{};
      for (int pixel = 0; pixel < p.oh * p.ow; ++pixel) sum += load(plane + pixel * kLanes);
      total.add(sum);
    }
    double sums[kLanes];
    total.store_to(sums);
    for (int lane = 0; lane < min_of(kLanes, p.out - static_cast<int>(block) * kLanes); ++lane) {
      dbias[block * kLanes + lane] = static_cast<float>(sums[lane]);
    }
  });
}

void planes_backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  for_width(width_of(p), [&]<int W>() { planes_backward_weight_width<W>(p, a, exec); });
  if (a.dbias != nullptr) bias_gradient(p, static_cast<const Elem*>(a.dy), a.dbias, exec);
}

}  // namespace

namespace SKNET_ISA {

const Conv2dForward conv2d_forward_planes{"planes", planes_refuse, planes_packed_bytes, planes_forward_scratch, planes_forward};
const Conv2dBackwardData conv2d_backward_data_planes{"planes", planes_refuse, planes_packed_bytes, planes_backward_data_scratch,
                                                     planes_backward_data};
const Conv2dBackwardWeight conv2d_backward_weight_planes{"planes", planes_refuse, planes_backward_weight_workspace,
                                                         planes_backward_weight_scratch, planes_backward_weight};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
