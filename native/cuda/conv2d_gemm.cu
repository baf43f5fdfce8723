// conv2d on CUDA, candidate "gemm", forward and gradient of the input: dense convolutions and linear layers as matrix products.
#include "cuda/conv2d_gemm.h"
#include "cuda/gemm_rows.h"

namespace sknet::cuda {
namespace {

constexpr int kWide = 128, kNarrow = 64;  // columns of a tile; wide ones only on tensor cores: in float32 they do not fit the registers

const char* refuse_forward(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.fusion.x_rows && p.fusion.x_norm) return "the network's input is not read through a norm";
  if (p.fusion.statistics && p.fusion.y_norm) return "leaves statistics or applies a norm, not both";
  return nullptr;
}

const char* refuse_backward_data(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.stride > kMostPhases) return "stride above 4";
  if (p.fusion.x_rows) return "the network's input needs no gradient";
  return nullptr;
}

int64_t tiles_of(const ConvRows& g) {
  int most = 0;
  for (int phase = 0; phase < g.phases * g.phases; ++phase) most = g.rows(phase) > most ? g.rows(phase) : most;
  return ceil_div(most, kTileRows);
}

// Rows, and the summed dimension of one tap.
template <class Elem>
struct Product {
  ConvRows rows;
  int depth;
  int64_t tiles() const { return tiles_of(rows); }
  int64_t all_tiles() const { return tiles() * rows.phases * rows.phases; }
  size_t weights() const { return static_cast<size_t>(rows.out_channels) * rows.kernel * rows.kernel * depth * kStep<Elem>; }
};

template <class Elem>
Product<Elem> forward_product(const Conv2dProblem& p) {
  if (!p.fusion.x_rows) return {forward_rows(p, padded(p.c), padded(p.out)), depth_of<Elem>(padded(p.c))};
  Product<Elem> product{forward_rows(p, p.c, padded(p.out)), depth_of<Elem>(p.kernel * p.kernel * p.c)};
  product.rows.kernel = product.rows.h[0].taps = product.rows.w[0].taps = 1;
  return product;
}

template <class Elem>
Product<Elem> transposed_product(const Conv2dProblem& p) {
  return {transposed_rows(p, padded(p.c), padded(p.out)), depth_of<Elem>(padded(p.out))};
}

// ---------------------------------------------------------------------------------------------------- weights

__device__ __forceinline__ void put(float* to, float v) { *to = v; }
__device__ __forceinline__ void put(bf16* to, float v) { *to = to_bf(v); }

// packed[column][tap][depth * kStep], from OIHW. Transposed: columns are input channels. Gathered: one tap, (tap, channel) without gaps.
template <class Elem>
__global__ void __launch_bounds__(256)
    pack_weights(const float* weight, Elem* packed, int64_t size, int out, int c, int taps, int depth, bool transposed, bool gathered) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  const int k = static_cast<int>(i % (depth * kStep<Elem>));
  const int64_t rest = i / (depth * kStep<Elem>);
  const int packed_taps = gathered ? 1 : taps, column = static_cast<int>(rest / packed_taps);
  const int tap = gathered ? k / c : static_cast<int>(rest % packed_taps), summed = gathered ? k % c : k;
  const int o = transposed ? summed : column, channel = transposed ? column : summed;
  const bool real = o < out && channel < c && tap < taps;
  put(packed + i, real ? weight[(static_cast<int64_t>(o) * c + channel) * taps + tap] : 0);
}

template <class Elem>
void pack(const Conv2dProblem& p, const Product<Elem>& product, const float* weight, bool transposed, const Exec& exec) {
  const int64_t size = static_cast<int64_t>(product.weights());
  SIMT_LAUNCH((pack_weights<Elem>), static_cast<unsigned>((size + 255) / 256), 256, 0, exec.stream, weight,
              reinterpret_cast<Elem*>(exec.packed), size, p.out, p.c, p.kernel * p.kernel, product.depth, transposed,
              p.fusion.x_rows && !transposed);
}

// ---------------------------------------------------------------------------------------------------- launching

template <int kCols, class Source, class Epilogue>
void launch_cols(const Product<typename Source::Type>& product, const Source& source, const Epilogue& epilogue, const Exec& exec) {
  constexpr int kShared = gemm_rows_shared<Source, kCols>();
  const int tiles = static_cast<int>(product.tiles()), phases = product.rows.phases * product.rows.phases;
  allow_shared(gemm_rows<Source, Epilogue, kCols>, kShared);
  SIMT_LAUNCH((gemm_rows<Source, Epilogue, kCols>), dim3(tiles * ceil_div(product.rows.out_channels, kCols), phases), kLanes, kShared,
              exec.stream, product.rows, source, reinterpret_cast<const typename Source::Type*>(exec.packed), product.depth, tiles,
              epilogue);
}

template <class Source, class Epilogue>
void launch(const Product<typename Source::Type>& product, const Source& source, const Epilogue& epilogue, const Exec& exec) {
  if constexpr (sizeof(typename Source::Type) == 2) {
    if (product.rows.out_channels > kNarrow) return launch_cols<kWide>(product, source, epilogue, exec);
  }
  launch_cols<kNarrow>(product, source, epilogue, exec);
}

// ---------------------------------------------------------------------------------------------------- forward

template <class Elem>
size_t forward_workspace(const Conv2dProblem& p) {
  return p.fusion.statistics ? TileSums::bytes(forward_product<Elem>(p).all_tiles(), padded(p.out), true) : 0;
}
template <class Elem>
size_t forward_packed(const Conv2dProblem& p) {
  return sizeof(Elem) * forward_product<Elem>(p).weights();
}
template <class Elem>
void pack_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  pack(p, forward_product<Elem>(p), a.weight, false, exec);
}

template <class Elem>
void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const Product<Elem> product = forward_product<Elem>(p);
  const auto with_source = [&](const auto& source) {
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
  };
  const Elem* x = static_cast<const Elem*>(a.x);
  if (p.fusion.x_rows) {
    with_source(RowsSource<Elem>{static_cast<const float*>(a.x), p.kernel, p.dilation, p.c, FastDiv(p.c), FastDiv(p.kernel)});
  } else if (a.x_norm.scale != nullptr) {
    with_source(NormSource<Elem>{x, a.x_norm});
  } else {
    with_source(PlainSource<Elem>{x});
  }
}

// ---------------------------------------------------------------------------------------------------- backward_data

template <class Elem>
size_t backward_data_workspace(const Conv2dProblem& p) {
  return p.fusion.close ? TileSums::bytes(transposed_product<Elem>(p).all_tiles(), padded(p.c), false) : 0;
}
template <class Elem>
size_t backward_data_packed(const Conv2dProblem& p) {
  return sizeof(Elem) * transposed_product<Elem>(p).weights();
}
template <class Elem>
void pack_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  pack(p, transposed_product<Elem>(p), a.weight, true, exec);
}

template <class Elem>
void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const Product<Elem> product = transposed_product<Elem>(p);
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
  if (a.dy_norm.u != nullptr) {
    with_source(GradientSource<Elem>{dy, a.dy_norm});
  } else {
    with_source(PlainSource<Elem>{dy});
  }
}

template <class Elem>
constexpr Conv2dForward kForward{"gemm",        refuse_forward,       forward_workspace<Elem>, nullptr,
                                 forward<Elem>, forward_packed<Elem>, pack_forward<Elem>};
template <class Elem>
constexpr Conv2dBackwardData kBackwardData{"gemm",
                                           refuse_backward_data,
                                           backward_data_workspace<Elem>,
                                           nullptr,
                                           backward_data<Elem>,
                                           backward_data_packed<Elem>,
                                           pack_backward_data<Elem>};

}  // namespace

const Conv2dForward conv2d_forward_gemm_fp32 = kForward<float>, conv2d_forward_gemm_bf16 = kForward<bf16>;
const Conv2dBackwardData conv2d_backward_data_gemm_fp32 = kBackwardData<float>, conv2d_backward_data_gemm_bf16 = kBackwardData<bf16>;

}  // namespace sknet::cuda
