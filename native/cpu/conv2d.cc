// conv2d on the CPU, candidate "gemm": every dense convolution and linear layer as a matrix product. Grouped ones: conv2d_planes.cc,
// conv2d_direct.cc.
#include "ops/conv2d.h"

#include <type_traits>

#include "cpu/bias_gradient.h"
#include "cpu/columns.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/past_cache.h"

namespace sknet::cpu {
namespace {

bool pointwise(const Conv2dProblem& p) { return p.kernel == 1 && p.padding == 0; }
int taps(const Conv2dProblem& p) { return p.kernel * p.kernel; }
int blocks_of(int channels) { return blocks_in(channels, kLanes); }

// Blocks of the summed dimension: of x's windows, and of dy's (backward_data).
int window_blocks(const Conv2dProblem& p) { return p.fusion.x_rows ? ceil_div(taps(p) * p.c, kLanes) : taps(p) * blocks_of(p.c); }
int transposed_blocks(const Conv2dProblem& p) { return taps(p) * blocks_of(p.out); }

const char* refuse(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (p.fusion.x_branches > 0) return "makes no SK unit's output";
  if (p.fusion.x_rows && taps(p) * p.c > RowsSource::kMostTaps) return "windows of the input are too large";
  if (p.fusion.x_rows && p.fusion.x_norm) return "the network's input is not read through a norm";
  return nullptr;
}

const char* refuse_backward_data(const Conv2dProblem& p) {
  if (p.groups != 1) return "grouped";
  if (!pointwise(p) && p.fusion.dy_norm) return "reads dy through a norm only where the kernel is 1x1";
  if (p.stride != 1 && p.fusion.close) return "closes a gradient only at stride 1";
  return nullptr;
}

// Calls f(source) with the way x is read.
template <class F>
void with_source(const Conv2dProblem& p, const void* x, const Normalize& norm, const F& f) {
  if (p.fusion.x_rows) return f(RowsSource{static_cast<const float*>(x), p});
  const Elem* elems = static_cast<const Elem*>(x);
  const auto of = [&](const auto& read) {
    using Read = std::remove_cvref_t<decltype(read)>;
    if (pointwise(p)) return f(PointSource<Read>{read, grid_of(p, p.h * p.w, p.c), p.ow, p.w, p.stride, blocks_of(p.c)});
    f(WindowSource<Read>{read, p});
  };
  if (norm.scale == nullptr) return of(PlainRead{elems});
  of(NormalizedRead{elems, norm});
}

template <class F>
void with_gradient(const Conv2dProblem& p, const void* dy, const NormGradient& norm, const F& f) {
  const Grid grid = grid_of(p, p.oh * p.ow, p.out);
  const Elem* elems = static_cast<const Elem*>(dy);
  if (norm.u == nullptr) return f(PointSource<PlainRead>{{elems}, grid, p.ow, p.ow, 1, blocks_of(p.out)});
  f(PointSource<GradientRead>{{elems, norm}, grid, p.ow, p.ow, 1, blocks_of(p.out)});
}

// OIHW offset of summed index k within one output's weights; -1 in the padding.
struct WeightIndex {
  int c, taps, padded;  // padded: channels a tap takes in k
  explicit WeightIndex(const Conv2dProblem& p) : c(p.c), taps(cpu::taps(p)), padded(p.fusion.x_rows ? p.c : padded_channels(p.c, kLanes)) {}
  int operator()(int k) const {
    const int tap = k / padded, channel = k % padded;
    return tap < taps && channel < c ? channel * taps + tap : -1;
  }
};

// ---------------------------------------------------------------------------------------------------- forward

PixelPlan forward_plan(const Conv2dProblem& p) {
  const Grid grid = grid_of(p, p.oh * p.ow, p.out);
  return plan_pixels(grid.images, grid.pixels, window_blocks(p), p.out);
}

size_t forward_packed(const Conv2dProblem& p) {
  return sizeof(Operand) * static_cast<size_t>(packed_size(product_blocks(window_blocks(p)) * kLanes, p.out));
}

// For statistics: [piece][mean, squared deviations][padded out].
size_t forward_workspace(const Conv2dProblem& p) {
  const size_t sums = p.fusion.statistics ? static_cast<size_t>(forward_plan(p).items()) * 2 * padded_channels(p.out, kLanes) : 0;
  return sizeof(float) * sums;
}
size_t forward_scratch(const Conv2dProblem& p) { return pixels_scratch(forward_plan(p)); }

struct ForwardEpilogue {
  const Conv2dProblem& p;
  const Conv2dForwardArgs& a;
  Grid grid;
  float* sums;  // or null
  int channels;
  bool past;  // y is written past the cache

  struct Block {
    const ForwardEpilogue& e;
    Elem* y;
    const Elem* residual;
    float* sums;
    Vec bias{};
    NormalizeVec norm{};
    // Deviations from the first tile's mean: exact however far the mean is from zero.
    Vec pivot{}, sum{}, squares{};
    int pixels = 0;

    void prefetch(int pixel, int count) const {
      if (residual == nullptr) return;
      for (int t = 0; t < count; ++t) prefetch_line(residual + (pixel + t) * e.grid.pixel);
    }
    void tile(int pixel, int count, const float* values) {
      if (sums != nullptr) {
        if (pixels == 0) {
          for (int t = 0; t < count; ++t) pivot += load(values + t * kLanes);
          pivot = pivot / static_cast<float>(count) + bias;
        }
        pixels += count;
      }
      const int64_t step = e.grid.pixel;
      for (int t = 0; t < count; ++t) {
        Vec v = load(values + t * kLanes) + bias;
        const int64_t at = (pixel + t) * step;
        if (sums != nullptr) {
          const Vec d = v - pivot;
          sum += d;
          squares += d * d;
        } else if (e.a.y_norm.scale != nullptr) {
          v = norm.scale * v + norm.shift;
          if (residual != nullptr) v += load(residual + at);
          if (norm.relu) v = relu(v);
        }
        if (e.past) {
          store_past_cache(y + at, v);
        } else {
          store(y + at, v);
        }
      }
    }
    void end() {
      if (e.past) end_past_cache();
      if (sums == nullptr) return;
      const Vec mean = sum / static_cast<float>(pixels);
      store(sums, pivot + mean);
      store(sums + e.channels, squares - sum * mean);
    }
  };

  Block begin(int64_t piece, int image, int block) const {
    const int64_t at = image * grid.image + block * grid.block;
    Block state{*this, static_cast<Elem*>(a.y) + at, a.residual == nullptr ? nullptr : static_cast<const Elem*>(a.residual) + at,
                sums == nullptr ? nullptr : sums + piece * 2 * channels + block * kLanes};
    if (a.bias != nullptr) state.bias = load(a.bias + block * kLanes);
    if (a.y_norm.scale != nullptr) state.norm = normalize_at(a.y_norm, block * kLanes);
    return state;
  }
};

void finish_statistics(const Conv2dProblem& p, const PixelPlan& plan, const NormStatistics& s, const float* sums, const Exec& exec) {
  const int channels = padded_channels(p.out, kLanes);
  parallel_for(*exec.pool, channels, [&](int64_t channel, int) {
    const int c = static_cast<int>(channel);
    double count = 0, mean = 0, squares = 0;
    for (int64_t piece = 0; piece < plan.items(); ++piece) {
      const double n = min_of(plan.piece, plan.pixels - static_cast<int>(piece % plan.pieces) * plan.piece);
      const double delta = sums[piece * 2 * channels + c] - mean, total = count + n;
      mean += delta * n / total;
      squares += sums[(piece * 2 + 1) * channels + c] + delta * delta * count * n / total;
      count = total;
    }
    set_statistics(s, c, p.out, mean, squares, count);
  });
}

void pack_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  Operand* packed = reinterpret_cast<Operand*>(exec.packed);
  const int k = product_blocks(window_blocks(p)) * kLanes;
  if (pointwise(p) && !p.fusion.x_rows) return pack_columns(*exec.pool, a.weight, p.c, p.out, k, packed);
  const WeightIndex index(p);
  const int64_t row = static_cast<int64_t>(p.c) * taps(p);
  pack_weights(*exec.pool, k, p.out, a.weight, packed, [&](int i, int o) { return index(i) < 0 ? -1 : o * row + index(i); });
}

void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const Operand* packed = reinterpret_cast<const Operand*>(exec.packed);
  float* sums = a.statistics.gamma == nullptr ? nullptr : reinterpret_cast<float*>(exec.workspace);
  const PixelPlan plan = forward_plan(p);
  const int channels = padded_channels(p.out, kLanes);
  const bool past = past_cache(a.y, static_cast<int64_t>(p.n) * p.oh * p.ow * channels);
  const ForwardEpilogue epilogue{p, a, grid_of(p, p.oh * p.ow, p.out), sums, channels, past};
  with_source(p, a.x, a.x_norm, [&](const auto& source) { gemm_pixels(exec, plan, p.out, packed, source, epilogue); });
  if (sums != nullptr) finish_statistics(p, plan, a.statistics, sums, exec);
}

// ---------------------------------------------------------------------------------------------------- backward_data

// 1x1: a product over output pixels, each written to the one input pixel it came from; k x k: over input pixels.
PixelPlan backward_data_plan(const Conv2dProblem& p) {
  const Grid grid = pointwise(p) ? grid_of(p, p.oh * p.ow, p.out) : grid_of(p, p.h * p.w, p.c);
  return plan_pixels(grid.images, grid.pixels, transposed_blocks(p), p.c);
}

size_t backward_data_packed(const Conv2dProblem& p) {
  return sizeof(Operand) * static_cast<size_t>(packed_size(product_blocks(transposed_blocks(p)) * kLanes, p.c));
}
size_t backward_data_workspace(const Conv2dProblem& p) {
  const size_t sums = p.fusion.close ? static_cast<size_t>(backward_data_plan(p).items()) * 2 * padded_channels(p.c, kLanes) : 0;
  return sizeof(float) * sums;
}
size_t backward_data_scratch(const Conv2dProblem& p) { return pixels_scratch(backward_data_plan(p)); }

struct BackwardDataEpilogue {
  const Conv2dProblem& p;
  const Conv2dBackwardDataArgs& a;
  Grid grid;        // of dx
  const Elem* add;  // or null
  float* sums;      // [piece][dz, dz (u - mean)][channels], or null
  int channels;
  bool past;  // dx is written past the cache

  struct Block {
    const BackwardDataEpilogue& e;
    int64_t base;
    float* sums;
    NormCloseVec close{};
    Vec sum{}, dot{};

    int64_t offset(int pixel) const {
      const Conv2dProblem& p = e.p;
      if (p.stride == 1 || !pointwise(p) || e.grid.pixels == 1 || p.h * p.w == 1) return pixel * e.grid.pixel;
      return (static_cast<int64_t>(pixel / p.ow) * p.w + pixel % p.ow) * p.stride * e.grid.pixel;
    }
    void prefetch(int pixel, int count) const {
      if (e.p.stride != 1) return;
      for (const void* memory : {static_cast<const void*>(e.add), e.a.close.u, e.a.close.output}) {
        if (memory == nullptr) continue;
        const Elem* from = static_cast<const Elem*>(memory) + base + pixel * e.grid.pixel;
        for (int t = 0; t < count; ++t) prefetch_line(from + t * e.grid.pixel);
      }
    }
    void tile(int pixel, int count, const float* values) {
      Elem* dx = static_cast<Elem*>(e.a.dx) + base;
      const Elem* add = e.add == nullptr ? nullptr : e.add + base;
      const Elem* u = sums == nullptr ? nullptr : static_cast<const Elem*>(e.a.close.u) + base;
      const Elem* output = close.by_output ? static_cast<const Elem*>(e.a.close.output) + base : nullptr;
      for (int t = 0; t < count; ++t) {
        Vec v = load(values + t * kLanes);
        const int64_t at = offset(pixel + t);
        if (add != nullptr) v += load(add + at);
        if (sums != nullptr) {
          const Vec uv = load(u + at);
          v = close.gate(v, uv, output == nullptr ? Vec{} : load(output + at));
          sum += v;
          dot += v * (uv - close.mean);
        }
        if (e.past) {
          store_past_cache(dx + at, v);
        } else {
          store(dx + at, v);
        }
      }
    }
    void end() {
      if (e.past) end_past_cache();
      if (sums == nullptr) return;
      store(sums, sum);
      store(sums + e.channels, dot);
    }
  };

  Block begin(int64_t piece, int image, int block) const {
    Block state{*this, image * grid.image + block * grid.block, sums == nullptr ? nullptr : sums + piece * 2 * channels + block * kLanes};
    if (sums != nullptr) state.close = norm_close_at(a.close, block * kLanes);
    return state;
  }
};

// What a strided 1x1 product does not reach: dx = add, or zero.
const Elem* fill_unreached(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  Elem* dx = static_cast<Elem*>(a.dx);
  const Elem* add = static_cast<const Elem*>(a.add);
  if (add == dx) return dx;
  const int64_t image = static_cast<int64_t>(p.h) * p.w * padded_channels(p.c, kLanes);
  parallel_for(*exec.pool, p.n, [&](int64_t n, int) {
    for (int64_t at = n * image; at < (n + 1) * image; at += kLanes) store(dx + at, add == nullptr ? Vec{} : load(add + at));
  });
  return add == nullptr ? nullptr : dx;
}

void pack_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  Operand* packed = reinterpret_cast<Operand*>(exec.packed);
  const int k = product_blocks(transposed_blocks(p)) * kLanes, padded_out = padded_channels(p.out, kLanes), all_taps = taps(p);
  if (pointwise(p)) return pack_rows(*exec.pool, a.weight, p.out, p.c, k, packed);
  pack_weights(*exec.pool, k, p.c, a.weight, packed, [&](int i, int c) {
    const int tap = i / padded_out, o = i % padded_out;
    return tap < all_taps && o < p.out ? (static_cast<int64_t>(o) * p.c + c) * all_taps + tap : -1;
  });
}

void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const Operand* packed = reinterpret_cast<const Operand*>(exec.packed);
  float* sums = a.close.u == nullptr ? nullptr : reinterpret_cast<float*>(exec.workspace);
  const PixelPlan plan = backward_data_plan(p);
  const Elem* add = static_cast<const Elem*>(sums == nullptr ? a.add : a.close.add);
  if (pointwise(p) && p.stride > 1 && p.h * p.w > 1) add = fill_unreached(p, a, exec);
  const bool past = past_cache(a.dx, static_cast<int64_t>(p.n) * p.h * p.w * padded_channels(p.c, kLanes), p.stride) && add != a.dx;
  const BackwardDataEpilogue epilogue{p, a, grid_of(p, p.h * p.w, p.c), add, sums, padded_channels(p.c, kLanes), past};
  if (pointwise(p)) {
    with_gradient(p, a.dy, a.dy_norm, [&](const auto& source) { gemm_pixels(exec, plan, p.c, packed, source, epilogue); });
  } else {
    gemm_pixels(exec, plan, p.c, packed, TransposedSource{static_cast<const Elem*>(a.dy), p}, epilogue);
  }
  if (sums == nullptr) return;
  const int channels = padded_channels(p.c, kLanes);
  const double rows = static_cast<double>(p.n) * p.h * p.w;
  parallel_for(*exec.pool, channels, [&](int64_t c, int) {
    double sum = 0, dot = 0;
    for (int64_t piece = 0; piece < plan.items(); ++piece) {
      sum += sums[piece * 2 * channels + c];
      dot += sums[(piece * 2 + 1) * channels + c];
    }
    set_close(a.close, static_cast<int>(c), p.c, sum, dot, rows);
  });
}

// ---------------------------------------------------------------------------------------------------- backward_weight

ReducePlan backward_weight_plan(const Conv2dProblem& p) {
  const Grid grid = grid_of(p, p.oh * p.ow, p.out);
  return plan_reduce(grid.images, grid.pixels, window_blocks(p), p.out);
}
size_t backward_weight_workspace(const Conv2dProblem& p) { return reduce_workspace(backward_weight_plan(p)); }
size_t backward_weight_scratch(const Conv2dProblem& p) { return reduce_scratch(backward_weight_plan(p)); }

void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  float* partial = reinterpret_cast<float*>(exec.workspace);
  const ReducePlan plan = backward_weight_plan(p);
  with_source(p, a.x, a.x_norm, [&](const auto& source) {
    with_gradient(p, a.dy, a.dy_norm, [&](const auto& gradient) {
      gemm_reduce(exec, plan, p.out, partial, source, gradient);
      if (a.dbias != nullptr) bias_gradient(gradient, p.out, a.dbias, *exec.pool);
    });
  });
  const WeightIndex index(p);
  const int64_t row = static_cast<int64_t>(p.c) * taps(p), all = static_cast<int64_t>(plan.pairs) * plan.blocks * kLanes * kPairLanes;
  const bool columns = pointwise(p) && !p.fusion.x_rows;  // as the weights lie in memory
  parallel_for(*exec.pool, static_cast<int64_t>(plan.pairs) * plan.blocks, [&](int64_t item, int) {
    const int pair = static_cast<int>(item / plan.blocks), k0 = static_cast<int>(item % plan.blocks) * kLanes;
    for (int o = pair * kPairLanes; o < min_of(p.out, (pair + 1) * kPairLanes); o += kLanes) {
      const float* from = partial + item * kLanes * kPairLanes + o % kPairLanes;
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) square[i] = load(from + i * kPairLanes);
      for (int chunk = 1; chunk < plan.chunks; ++chunk) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) square[i] += load(from + chunk * all + i * kPairLanes);
      }
      if (columns) {
        transpose(square);
        for (int r = 0; r < min_of(kLanes, p.out - o); ++r) store_part(a.dweight + (o + r) * row + k0, square[r], p.c - k0);
        continue;
      }
      for (int i = 0; i < kLanes; ++i) {
        const int at = index(k0 + i);
        for (int r = 0; at >= 0 && r < min_of(kLanes, p.out - o); ++r) a.dweight[(o + r) * row + at] = square[i][r];
      }
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const Conv2dForward conv2d_forward_gemm{"gemm", refuse, forward_workspace, forward_scratch, forward, forward_packed, pack_forward};
const Conv2dBackwardData conv2d_backward_data_gemm{"gemm",        refuse_backward_data, backward_data_workspace, backward_data_scratch,
                                                   backward_data, backward_data_packed, pack_backward_data};
const Conv2dBackwardWeight conv2d_backward_weight_gemm{"gemm", refuse, backward_weight_workspace, backward_weight_scratch, backward_weight};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
