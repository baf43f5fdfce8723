// batch_norm on the CPU: two passes forward (statistics, apply), two backward (sums, apply), with residual and ReLU folded in.
#include "ops/batch_norm.h"

#include <cmath>

#include "cpu/batch_stats.h"
#include "cpu/kernels.h"

namespace sknet::cpu {
namespace {

size_t forward_workspace(const BatchNormProblem& p) { return batch_stats_workspace(p.rows, p.c); }

// y = relu?(scale (x - mean) + beta + residual?); scale(c0, lanes) gives a block's vector. Subtracting the mean first loses no digits where
// it is large against the spread, which a precomputed beta - mean scale would.
template <class Scale>
void apply(const BatchNormProblem& p, const float* x, const float* mean, const float* beta, const float* residual, float* y,
           const Exec& exec, const Scale& scale) {
  const RowChunks chunks = row_chunks(p.rows, p.c);
  parallel_for(*exec.pool, chunks.count, [&](int64_t chunk, int) {
    const int64_t first = chunk * chunks.size, last = min_of(p.rows, first + chunks.size);
    for (int64_t row0 = first; row0 < last; row0 += kRowBlock) {
      const int64_t row1 = min_of(last, row0 + kRowBlock);
      for (int c0 = 0; c0 < p.c; c0 += kLanes) {
        const int lanes = min_of(kLanes, p.c - c0);
        const Vec a = scale(c0, lanes), m = load_part(mean + c0, lanes), b = load_part(beta + c0, lanes);
        for (int64_t row = row0; row < row1; ++row) {
          const int64_t at = row * p.c + c0;
          Vec v = a * (load_part(x + at, lanes) - m) + b;
          if (residual != nullptr) v += load_part(residual + at, lanes);
          store_part(y + at, p.relu ? relu(v) : v, lanes);
        }
      }
    }
  });
}

void forward(const BatchNormProblem& p, const BatchNormForwardArgs& a, const Exec& exec) {
  const double rows = static_cast<double>(p.rows);
  batch_stats(*exec.pool, a.x, p.rows, p.c, reinterpret_cast<float*>(exec.workspace), [&](int c, double mean, double squares) {
    a.mean[c] = a.batch_mean[c] = static_cast<float>(mean);
    a.invstd[c] = static_cast<float>(1.0 / std::sqrt(squares / rows + p.eps));
    a.batch_var[c] = static_cast<float>(squares / (rows - 1));
  });
  const auto scale = [&](int c0, int lanes) { return load_part(a.gamma + c0, lanes) * load_part(a.invstd + c0, lanes); };
  apply(p, a.x, a.mean, a.beta, a.residual, a.y, exec, scale);
}

size_t inference_workspace(const BatchNormProblem& p) { return sizeof(float) * static_cast<size_t>(p.c); }

void inference(const BatchNormProblem& p, const BatchNormInferenceArgs& a, const Exec& exec) {
  float* scales = reinterpret_cast<float*>(exec.workspace);
  for (int c = 0; c < p.c; ++c) scales[c] = a.gamma[c] / std::sqrt(a.running_var[c] + p.eps);
  apply(p, a.x, a.running_mean, a.beta, a.residual, a.y, exec, [&](int c0, int lanes) { return load_part(scales + c0, lanes); });
}

size_t backward_workspace(const BatchNormProblem& p) {
  return sizeof(float) * 2 * static_cast<size_t>(p.c) * (static_cast<size_t>(row_chunks(p.rows, p.c).count) + 1);
}

// dy behind the ReLU: where the forward's output was positive. With a residual the output itself tells; without, x does.
struct Gate {
  const BatchNormProblem& p;
  const BatchNormBackwardArgs& a;
  Vec scale, mean, beta;
  Vec operator()(int64_t at, int lanes) const {
    const Vec dy = load_part(a.dy + at, lanes);
    if (!p.relu) return dy;
    return where_positive(p.residual ? load_part(a.y + at, lanes) : scale * (load_part(a.x + at, lanes) - mean) + beta, dy);
  }
};

Gate make_gate(const BatchNormProblem& p, const BatchNormBackwardArgs& a, int c0, int lanes) {
  return {p, a, load_part(a.gamma + c0, lanes) * load_part(a.invstd + c0, lanes), load_part(a.mean + c0, lanes),
          load_part(a.beta + c0, lanes)};
}

void backward(const BatchNormProblem& p, const BatchNormBackwardArgs& a, const Exec& exec) {
  const RowChunks chunks = row_chunks(p.rows, p.c);
  float* partial = reinterpret_cast<float*>(exec.workspace);  // [chunk][2][c]: sums of dz and of dz xhat
  float* means = partial + chunks.count * 2 * p.c;            // [2][c]: both sums over all rows, divided by rows
  parallel_for(*exec.pool, chunks.count, [&](int64_t chunk, int) {
    const int64_t first = chunk * chunks.size, last = min_of(p.rows, first + chunks.size);
    float* sums = partial + chunk * 2 * p.c;
    zero_floats(sums, 2 * p.c);
    for (int64_t row0 = first; row0 < last; row0 += kRowBlock) {
      const int64_t row1 = min_of(last, row0 + kRowBlock);
      for (int c0 = 0; c0 < p.c; c0 += kLanes) {
        const int lanes = min_of(kLanes, p.c - c0);
        const Gate gate = make_gate(p, a, c0, lanes);
        const Vec invstd = load_part(a.invstd + c0, lanes);
        Vec sum{}, dot{};
        for (int64_t row = row0; row < row1; ++row) {
          const int64_t at = row * p.c + c0;
          const Vec dz = gate(at, lanes);
          sum += dz;
          dot += dz * ((load_part(a.x + at, lanes) - gate.mean) * invstd);
        }
        store_part(sums + c0, load_part(sums + c0, lanes) + sum, lanes);
        store_part(sums + p.c + c0, load_part(sums + p.c + c0, lanes) + dot, lanes);
      }
    }
  });
  parallel_for(*exec.pool, ceil_div(p.c, kLanes), [&](int64_t block, int) {
    for (int c = static_cast<int>(block) * kLanes; c < min_of(p.c, static_cast<int>(block + 1) * kLanes); ++c) {
      double sum = 0, dot = 0;
      for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
        sum += partial[chunk * 2 * p.c + c];
        dot += partial[chunk * 2 * p.c + p.c + c];
      }
      a.dbeta[c] = static_cast<float>(sum);
      a.dgamma[c] = static_cast<float>(dot);
      means[c] = static_cast<float>(sum / static_cast<double>(p.rows));
      means[p.c + c] = static_cast<float>(dot / static_cast<double>(p.rows));
    }
  });
  parallel_for(*exec.pool, chunks.count, [&](int64_t chunk, int) {
    const int64_t first = chunk * chunks.size, last = min_of(p.rows, first + chunks.size);
    for (int64_t row0 = first; row0 < last; row0 += kRowBlock) {
      const int64_t row1 = min_of(last, row0 + kRowBlock);
      for (int c0 = 0; c0 < p.c; c0 += kLanes) {
        const int lanes = min_of(kLanes, p.c - c0);
        const Gate gate = make_gate(p, a, c0, lanes);
        const Vec invstd = load_part(a.invstd + c0, lanes);
        const Vec sum = load_part(means + c0, lanes), dot = load_part(means + p.c + c0, lanes);
        for (int64_t row = row0; row < row1; ++row) {
          const int64_t at = row * p.c + c0;
          const Vec dz = gate(at, lanes), xhat = (load_part(a.x + at, lanes) - gate.mean) * invstd;
          if (a.dresidual != nullptr) {
            store_part(a.dresidual + at, a.accumulate_residual ? load_part(a.dresidual + at, lanes) + dz : dz, lanes);
          }
          store_part(a.dx + at, gate.scale * (dz - sum - xhat * dot), lanes);
        }
      }
    }
  });
}

// ---- few rows: the attention of an SK unit normalises over the images of a shard, maybe two. The backward formula then subtracts nearly
// equal numbers, so everything is taken again from x in float64; the work is negligible.

constexpr int64_t kFewRows = 512;

const char* few_rows_refuse(const BatchNormProblem& p) { return p.rows > kFewRows ? "more than 512 rows" : nullptr; }

struct ColumnStats {
  double mean, variance, invstd;
};

ColumnStats column_stats(const BatchNormProblem& p, const float* x, int c) {
  double sum = 0, squares = 0;
  for (int64_t row = 0; row < p.rows; ++row) sum += x[row * p.c + c];
  const double mean = sum / static_cast<double>(p.rows);
  for (int64_t row = 0; row < p.rows; ++row) squares += (x[row * p.c + c] - mean) * (x[row * p.c + c] - mean);
  const double variance = squares / static_cast<double>(p.rows);
  return {mean, variance, 1.0 / std::sqrt(variance + p.eps)};
}

void few_rows_forward(const BatchNormProblem& p, const BatchNormForwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, p.c, [&](int64_t channel, int) {
    const int c = static_cast<int>(channel);
    const ColumnStats s = column_stats(p, a.x, c);
    a.mean[c] = a.batch_mean[c] = static_cast<float>(s.mean);
    a.invstd[c] = static_cast<float>(s.invstd);
    a.batch_var[c] = static_cast<float>(s.variance * static_cast<double>(p.rows) / static_cast<double>(p.rows - 1));
    for (int64_t at = c; at < p.rows * p.c; at += p.c) {
      double v = a.gamma[c] * ((a.x[at] - s.mean) * s.invstd) + a.beta[c];
      if (a.residual != nullptr) v += a.residual[at];
      a.y[at] = static_cast<float>(p.relu && 0 > v ? 0 : v);
    }
  });
}

void few_rows_backward(const BatchNormProblem& p, const BatchNormBackwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, p.c, [&](int64_t channel, int) {
    const int c = static_cast<int>(channel);
    const ColumnStats s = column_stats(p, a.x, c);
    const auto xhat = [&](int64_t at) { return (a.x[at] - s.mean) * s.invstd; };
    const auto gated = [&](int64_t at) -> double {
      if (!p.relu) return a.dy[at];
      return (p.residual ? a.y[at] > 0 : a.gamma[c] * xhat(at) + a.beta[c] > 0) ? a.dy[at] : 0;
    };
    double sum = 0, dot = 0;
    for (int64_t at = c; at < p.rows * p.c; at += p.c) {
      sum += gated(at);
      dot += gated(at) * xhat(at);
    }
    a.dbeta[c] = static_cast<float>(sum);
    a.dgamma[c] = static_cast<float>(dot);
    for (int64_t at = c; at < p.rows * p.c; at += p.c) {
      const double dz = gated(at);
      const double dx = a.gamma[c] * s.invstd * (dz - (sum + xhat(at) * dot) / static_cast<double>(p.rows));
      if (a.dresidual != nullptr) a.dresidual[at] = static_cast<float>(a.accumulate_residual ? a.dresidual[at] + dz : dz);
      a.dx[at] = static_cast<float>(dx);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const BatchNormForward batch_norm_forward_few_rows{"few_rows", few_rows_refuse, nullptr, nullptr, few_rows_forward};
const BatchNormBackward batch_norm_backward_few_rows{"few_rows", few_rows_refuse, nullptr, nullptr, few_rows_backward};

const BatchNormForward batch_norm_forward_plain{"two_pass", nullptr, forward_workspace, nullptr, forward};
const BatchNormInference batch_norm_inference_plain{"one_pass", nullptr, inference_workspace, nullptr, inference};
const BatchNormBackward batch_norm_backward_plain{"two_pass", nullptr, backward_workspace, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
