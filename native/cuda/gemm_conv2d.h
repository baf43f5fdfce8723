// conv2d forward and gradient of the input as matrix products (gemm_rows.h): dense convolutions and linear layers. Machine says what
// multiplies: Warps or Warpgroups (machine.h, machine_warpgroup.h).
#pragma once

#include "cuda/gemm_rows.h"
#include "cuda/gemm_selected.h"
#include "cuda/machine.h"
#include "cuda/put.h"
#include "ops/conv2d.h"

namespace sknet::cuda::gemm {

inline int64_t tiles_of(const ConvRows& g) {
  int most = 0;
  for (int phase = 0; phase < g.phases * g.phases; ++phase) most = g.rows(phase) > most ? g.rows(phase) : most;
  return ceil_div(most, kTileRows);
}

// Rows, and the summed dimension of one tap.
template <class Machine>
struct ConvProduct {
  ConvRows rows;
  int depth;
  int64_t tiles() const { return tiles_of(rows); }
  int64_t all_tiles() const { return tiles() * rows.phases * rows.phases; }
  size_t weights() const { return static_cast<size_t>(rows.out_channels) * rows.kernel * rows.kernel * depth * Machine::kStep; }
};

// Of a convolution's channels.
template <class Machine>
int depth_of(int channels) {
  return ceil_div(channels, Machine::kStep);
}

template <class Machine>
ConvProduct<Machine> forward_product(const Conv2dProblem& p) {
  if (!p.fusion.x_rows) return {forward_rows(p, padded(p.c), padded(p.out)), depth_of<Machine>(padded(p.c))};
  ConvProduct<Machine> product{forward_rows(p, p.c, padded(p.out)), depth_of<Machine>(p.kernel * p.kernel * p.c)};
  product.rows.kernel = product.rows.h[0].taps = product.rows.w[0].taps = 1;
  return product;
}

template <class Machine>
ConvProduct<Machine> transposed_product(const Conv2dProblem& p) {
  return {transposed_rows(p, padded(p.c), padded(p.out)), depth_of<Machine>(padded(p.out))};
}

// ---------------------------------------------------------------------------------------------------- weights

// packed[column][tap][depth], from OIHW; depth counts numbers. Transposed: columns are input channels. Gathered: one tap, and (tap,
// channel) without gaps.
template <class Elem>
__global__ void __launch_bounds__(256)
    pack_weights(const float* weight, Elem* packed, int64_t size, int out, int c, int taps, int depth, bool transposed, bool gathered) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int k = static_cast<int>(i % depth);
  const int64_t rest = i / depth;
  const int packed_taps = gathered ? 1 : taps, column = static_cast<int>(rest / packed_taps);
  const int tap = gathered ? k / c : static_cast<int>(rest % packed_taps), summed = gathered ? k % c : k;
  const int o = transposed ? summed : column, channel = transposed ? column : summed;
  const bool real = o < out && channel < c && tap < taps;
  put(packed + i, real ? weight[(static_cast<int64_t>(o) * c + channel) * taps + tap] : 0);
}

template <class Machine>
void pack(const Conv2dProblem& p, const ConvProduct<Machine>& product, const float* weight, bool transposed, const Exec& exec) {
  const int64_t size = static_cast<int64_t>(product.weights());
  using Elem = typename Machine::Type;
  SIMT_LAUNCH((pack_weights<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, weight,
              reinterpret_cast<Elem*>(exec.packed), size, p.out, p.c, p.kernel * p.kernel, product.depth * Machine::kStep, transposed,
              p.fusion.x_rows && !transposed);
}

// ---------------------------------------------------------------------------------------------------- launching

template <int kCols, class Machine, class Source, class Epilogue>
void launch_cols(const ConvProduct<Machine>& product, const Source& source, const Epilogue& epilogue, const Exec& exec) {
  using Multiplies = typename Machine::template Product<kCols>;
  constexpr int kShared = gemm_rows_shared<Source, Multiplies, kCols>();
  const int tiles = static_cast<int>(product.tiles()), phases = product.rows.phases * product.rows.phases;
  allow_shared(gemm_rows<Source, Epilogue, Multiplies, kCols>, kShared);
  SIMT_LAUNCH((gemm_rows<Source, Epilogue, Multiplies, kCols>), dim3(tiles * ceil_div(product.rows.out_channels, kCols), phases), kLanes,
              kShared, exec.stream, product.rows, source, reinterpret_cast<const typename Source::Type*>(exec.packed), product.depth, tiles,
              epilogue);
}

template <class Machine, class Source, class Epilogue>
void launch(const ConvProduct<Machine>& product, const Source& source, const Epilogue& epilogue, const Exec& exec) {
  if constexpr (Machine::kHasWide && Source::kTiles <= kMostWideTiles) {
    if (product.rows.out_channels > kNarrowCols) return launch_cols<kWideCols>(product, source, epilogue, exec);
  }
  launch_cols<kNarrowCols>(product, source, epilogue, exec);
}

// ---------------------------------------------------------------------------------------------------- forward

template <class Machine>
size_t forward_workspace(const Conv2dProblem& p) {
  return p.fusion.statistics ? TileSums::bytes(forward_product<Machine>(p).all_tiles(), padded(p.out), true) : 0;
}
template <class Machine>
size_t forward_packed(const Conv2dProblem& p) {
  return sizeof(typename Machine::Type) * forward_product<Machine>(p).weights();
}
template <class Machine>
void pack_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  pack(p, forward_product<Machine>(p), a.weight, false, exec);
}

template <class Machine, class Source>
void forward_from(const Source& source, const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  using Elem = typename Machine::Type;
  const ConvProduct<Machine> product = forward_product<Machine>(p);
  Elem* y = static_cast<Elem*>(a.y);
  if (a.statistics.gamma != nullptr) {
    const TileSums sums = TileSums::at(exec.workspace, product.all_tiles(), padded(p.out), true);
    launch(product, source, StatisticsEpilogue<Elem>{y, a.bias, sums}, exec);
    launch_finish(sums, FinishStatistics{a.statistics, p.out, static_cast<double>(p.n) * p.oh * p.ow}, exec.stream);
  } else if (a.y_norm.scale != nullptr) {
    launch(product, source, NormEpilogue<Elem>{y, a.bias, a.y_norm, static_cast<const Elem*>(a.residual)}, exec);
  } else {
    launch(product, source, BiasEpilogue<Elem>{y, a.bias}, exec);
  }
}

template <class Machine>
void forward_selected(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  with_select_source<Machine>(p, a.selection, [&](const auto& source) { forward_from<Machine>(source, p, a, exec); });
}

template <class Machine>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  using Elem = typename Machine::Type;
  if (p.fusion.x_branches > 0) return forward_selected<Machine>(p, a, exec);
  const auto with_source = [&](const auto& source) { forward_from<Machine>(source, p, a, exec); };
  const Elem* x = static_cast<const Elem*>(a.x);
  if constexpr (Machine::kAnySource) {
    if (p.fusion.x_rows) {
      return with_source(RowsSource<Elem>{static_cast<const float*>(a.x), p.kernel, p.dilation, p.c, FastDiv(p.c), FastDiv(p.kernel)});
    }
  }
  if (a.x_norm.scale != nullptr) {
    with_source(NormSource<Elem>{x, a.x_norm});
  } else {
    with_source(PlainSource<Elem>{x});
  }
}

// ---------------------------------------------------------------------------------------------------- backward_data

template <class Machine>
size_t backward_data_workspace(const Conv2dProblem& p) {
  return p.fusion.close ? TileSums::bytes(transposed_product<Machine>(p).all_tiles(), padded(p.c), false) : 0;
}
template <class Machine>
size_t backward_data_packed(const Conv2dProblem& p) {
  return sizeof(typename Machine::Type) * transposed_product<Machine>(p).weights();
}
template <class Machine>
void pack_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  pack(p, transposed_product<Machine>(p), a.weight, true, exec);
}

template <class Machine>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  using Elem = typename Machine::Type;
  const ConvProduct<Machine> product = transposed_product<Machine>(p);
  const auto with_source = [&](const auto& source) {
    Elem* dx = static_cast<Elem*>(a.dx);
    if (a.close.u != nullptr) {
      const TileSums sums = TileSums::at(exec.workspace, product.all_tiles(), padded(p.c), false);
      launch(product, source, CloseEpilogue<Elem>{dx, a.close, sums}, exec);
      launch_finish(sums, FinishClose{a.close, p.c, static_cast<double>(p.n) * p.h * p.w}, exec.stream);
    } else {
      launch(product, source, AddEpilogue<Elem>{dx, static_cast<const Elem*>(a.add)}, exec);
    }
  };
  const Elem* dy = static_cast<const Elem*>(a.dy);
  if constexpr (Machine::kAnySource) {
    if (a.dy_norm.u != nullptr) return with_source(GradientSource<Elem>{dy, a.dy_norm});
  }
  with_source(PlainSource<Elem>{dy});
}

template <class Machine>
constexpr Conv2dForward make_forward(const char* name, const char* (*refuse)(const Conv2dProblem&)) {
  return {name, refuse, forward_workspace<Machine>, nullptr, forward<Machine>, forward_packed<Machine>, pack_forward<Machine>};
}
template <class Machine>
constexpr Conv2dBackwardData make_backward_data(const char* name, const char* (*refuse)(const Conv2dProblem&)) {
  return {name,
          refuse,
          backward_data_workspace<Machine>,
          nullptr,
          backward_data<Machine>,
          backward_data_packed<Machine>,
          pack_backward_data<Machine>};
}

}  // namespace sknet::cuda::gemm
