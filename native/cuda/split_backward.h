// Everything of sk_split's backward in one kernel, where the convolutions keep the image's size: a block goes through one chunk of the
// tiles, brings the gradients of the branches' raw outputs and the input of one tile into shared memory, writes dx from them and adds to
// the weights' gradients, which it keeps in registers. So du_m and x are read once.
#pragma once

#include "cuda/grouped_reduce.h"
#include "cuda/grouped_rows.h"

namespace sknet::cuda {

// What both directions agree on.
struct SplitPlan {
  GroupedPlan forward, transposed;
  GroupedReducePlan reduce;  // no slabs: the kernel does not apply
};

// Shared memory: the branches' gradients, x, and what write_rows() needs.
template <class Elem>
int split_backward_shared(const SplitPlan& s, int slabs) {
  return grouped_rows_shared<Elem>(s.transposed, slabs, true) + s.forward.span() * pixel_pitch<Elem>(slabs);
}

template <class Elem>
SplitPlan split_plan(const Conv2dProblem* conv, int branches) {
  SplitPlan s{grouped_plan(conv, branches, false), grouped_plan(conv, branches, true), {}};
  const GroupedPlan& t = s.transposed;
  const auto holds_tile = [](int low, int span, int tile) { return low <= 0 && span + low >= tile; };
  const bool same = t.phases == 1 && t.source_h == t.out_h && t.source_w == t.out_w && holds_tile(t.low_h[0], t.span_h, kTileH) &&
                    holds_tile(t.low_w[0], t.span_w, t.tile_w) && t.patches() == 8;
  if (same)
    s.reduce = grouped_reduce_plan<Elem>(s.forward, choose_slabs(t, 2, [&](int slabs) { return split_backward_shared<Elem>(s, slabs); }));
  if (s.reduce.job_blocks > 1) s.reduce = {};  // each would write dx
  return s;
}

template <class Elem, int kSlabs, class X, class Gradient, class Epilogue>
__global__ void __launch_bounds__(256, 2)
    split_backward(const __grid_constant__ GroupedPlan forward, const __grid_constant__ GroupedPlan transposed,
                   const __grid_constant__ GroupedReducePlan r, const __grid_constant__ X x, const __grid_constant__ Gradient gradient,
                   const Elem* weights, const __grid_constant__ BranchWeights offsets,
                   const __grid_constant__ BranchEpilogues<Epilogue> epilogues, float* partial) {
  constexpr int kWidth = kSlabs * kSlab, kPitchBytes = pixel_pitch<Elem>(kSlabs);
  SIMT_DYN_SHARED(char, shared);
  const GroupedPlan &f = forward, &t = transposed;
  const int c0 = static_cast<int>(blockIdx.x) * kWidth, chunk = static_cast<int>(blockIdx.y);
  const int du_bytes = t.span_h * t.span_w * kPitchBytes, x_pixels = f.span_h * f.span_w;
  char *x_tile = shared + t.branches * du_bytes, *staging = x_tile + x_pixels * kPitchBytes;
  const char* center = shared - (t.low_h[0] * t.span_w + t.low_w[0]) * kPitchBytes;
  GroupedReduce<Elem, kSlabs> product(f, r, 0);
  for (int tile = chunk * r.chunk; tile < (chunk + 1) * r.chunk && tile < r.tiles; ++tile) {
    const TilePlace place = tile_place(t, tile);
    __syncthreads();
    fill_tile<Elem, kSlabs, 4, 3>(x, 0, place.image, c0, f.channels, f.source_h, f.source_w, place.row + f.low_h[0], place.col + f.low_w[0],
                                  x_pixels, f.span_w, f.by_span_w, x_tile);
    for (int m = 0; m < t.branches; ++m) {
      fill_tile<Elem, kSlabs, 4, 3>(gradient, m, place.image, c0, t.channels, t.source_h, t.source_w, place.row + t.low_h[0],
                                    place.col + t.low_w[0], t.span_h * t.span_w, t.span_w, t.by_span_w, shared + m * du_bytes);
    }
    cp_async_wait<0>();
    __syncthreads();
    product.tile(f, x_tile, center, t.span_w, du_bytes);
    write_rows<Elem, kSlabs, true>(t, place, 0, c0, shared, staging, weights, offsets, tile, epilogues);
  }
  product.write(f, r, 0, c0, partial + chunk * chunk_floats<Elem>(f, r));
}

template <class Elem, int kSlabs, class X, class Gradient, class Epilogue>
void launch_split_slabs(const SplitPlan& s, const X& x, const Gradient& gradient, const BranchEpilogues<Epilogue>& epilogues,
                        float* partial, const Exec& exec) {
  allow_shared(split_backward<Elem, kSlabs, X, Gradient, Epilogue>, kMostShared);
  SIMT_LAUNCH((split_backward<Elem, kSlabs, X, Gradient, Epilogue>), dim3(ceil_div(s.forward.channels, kSlabs * kSlab), s.reduce.chunks),
              256, split_backward_shared<Elem>(s, kSlabs), exec.stream, s.forward, s.transposed, s.reduce, x, gradient,
              reinterpret_cast<const Elem*>(exec.packed), branch_weights<Elem>(s.transposed), epilogues, partial);
}

template <class Elem, class X, class Gradient, class Epilogue>
void launch_split_backward(const SplitPlan& s, const X& x, const Gradient& gradient, const BranchEpilogues<Epilogue>& epilogues,
                           float* partial, const Exec& exec) {
  switch (s.reduce.slabs) {
    case 4:
      return launch_split_slabs<Elem, 4>(s, x, gradient, epilogues, partial, exec);
    case 2:
      return launch_split_slabs<Elem, 2>(s, x, gradient, epilogues, partial, exec);
    default:
      return launch_split_slabs<Elem, 1>(s, x, gradient, epilogues, partial, exec);
  }
}

}  // namespace sknet::cuda
