// batch_norm on the CPU, one pass each: what other ops could not do in passing.
#include "ops/batch_norm.h"

#include "cpu/batch_stats.h"
#include "cpu/kernels.h"
#include "cpu/norm.h"
#include "cpu/past_cache.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

// f(block of channels, offset of the first pixel in elements, offset behind the last) for pieces of all planes.
template <class F>
void for_blocks(const BatchNormProblem& p, const Exec& exec, const F& f) {
  const int blocks = blocks_in(p.c, kLanes);
  for_pieces(*exec.pool, planes_in(p.n, p.c), p.hw, [&](int64_t plane, int first, int last, int64_t item) {
    f(static_cast<int>(plane % blocks) * kLanes, (plane * p.hw + first) * kLanes, (plane * p.hw + last) * kLanes, item);
  });
}

size_t statistics_workspace(const BatchNormProblem& p) { return batch_stats_workspace(p.n, p.hw, p.c); }

void statistics(const BatchNormProblem& p, const BatchNormStatisticsArgs& a, const Exec& exec) {
  batch_stats(
      *exec.pool, static_cast<const Elem*>(a.u), p.n, p.hw, p.c, reinterpret_cast<double*>(exec.workspace),
      [&](int c, double mean, double squares) { set_statistics(a.statistics, c, p.c, mean, squares, static_cast<double>(p.rows())); });
}

void fold(const BatchNormProblem& p, const BatchNormFoldArgs& a, const Exec&) {
  for (int c = 0; c < padded_channels(p.c, kLanes); ++c) {
    // In float64: the mean may be large against what is left after it is subtracted.
    const double scale = c < p.c ? a.gamma[c] / std::sqrt(static_cast<double>(a.running_var[c]) + a.eps) : 0;
    a.scale[c] = static_cast<float>(scale);
    a.shift[c] = c < p.c ? static_cast<float>(a.beta[c] - static_cast<double>(a.running_mean[c]) * a.scale[c]) : 0;
  }
}

void apply(const BatchNormProblem& p, const BatchNormApplyArgs& a, const Exec& exec) {
  const Elem* u = static_cast<const Elem*>(a.u);
  const Elem* residual = static_cast<const Elem*>(a.residual);
  Elem* y = static_cast<Elem*>(a.y);
  const bool past = past_cache(y, planes_in(p.n, p.c) * p.hw * kLanes);
  for_blocks(p, exec, [&](int c0, int64_t first, int64_t last, int64_t) {
    NormalizeVec norm = normalize_at(a.norm, c0);
    norm.relu = false;
    with_store(past, [&](const auto& store_to) {
      const auto put = [&](int64_t at, Vec v) { store_to(y + at, a.relu ? relu(v) : v); };
      if (residual == nullptr) {
        for (int64_t at = first; at < last; at += kLanes) put(at, norm(load(u + at)));
      } else if (a.residual_norm.scale == nullptr) {
        for (int64_t at = first; at < last; at += kLanes) put(at, norm(load(u + at)) + load(residual + at));
      } else {
        const NormalizeVec other = normalize_at(a.residual_norm, c0);
        for (int64_t at = first; at < last; at += kLanes) put(at, norm(load(u + at)) + other(load(residual + at)));
      }
    });
  });
}

int64_t pieces_of(const BatchNormProblem& p) {
  const int64_t planes = planes_in(p.n, p.c);
  return planes * pixel_chunks(planes, p.hw, kWholePlane).count;
}

size_t close_workspace(const BatchNormProblem& p) { return sizeof(double) * static_cast<size_t>(pieces_of(p) * 2 * kLanes); }

void close(const BatchNormProblem& p, const BatchNormCloseArgs& a, const Exec& exec) {
  const NormClose& n = a.close;
  const Elem* dy = static_cast<const Elem*>(a.dy);
  const Elem* u = static_cast<const Elem*>(n.u);
  const Elem* add = static_cast<const Elem*>(n.add);
  const Elem* output = static_cast<const Elem*>(n.output);
  Elem* dz = static_cast<Elem*>(a.dz);
  double* partial = reinterpret_cast<double*>(exec.workspace);  // [image][block][piece][2]: sums of dz and of dz (u - mean)
  for_blocks(p, exec, [&](int c0, int64_t first, int64_t last, int64_t item) {
    const NormCloseVec block = norm_close_at(n, c0);
    WideSum sum, dot;
    for (int64_t run0 = first; run0 < last; run0 += kRun * kLanes) {
      Vec run_sum{}, run_dot{};
      for (int64_t at = run0; at < min_of(last, run0 + kRun * kLanes); at += kLanes) {
        Vec g = load(dy + at);
        if (add != nullptr) g += load(add + at);
        const Vec x = load(u + at);
        g = block.gate(g, x, output == nullptr ? Vec{} : load(output + at));
        run_sum += g;
        run_dot += g * (x - block.mean);
        if (dz != nullptr) store(dz + at, g);
      }
      sum.add(run_sum);
      dot.add(run_dot);
    }
    sum.store_to(partial + item * 2 * kLanes);
    dot.store_to(partial + item * 2 * kLanes + kLanes);
  });
  const int blocks = blocks_in(p.c, kLanes);
  const int64_t pieces = pieces_of(p) / planes_in(p.n, p.c);
  parallel_for(*exec.pool, blocks, [&](int64_t block, int) {
    double total[2 * kLanes] = {};
    for (int image = 0; image < p.n; ++image) {
      const double* of_image = partial + (image * static_cast<int64_t>(blocks) + block) * pieces * 2 * kLanes;
      for (int64_t at = 0; at < pieces * 2 * kLanes; ++at) total[at % (2 * kLanes)] += of_image[at];
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      set_close(n, static_cast<int>(block) * kLanes + lane, p.c, total[lane], total[kLanes + lane], static_cast<double>(p.rows()));
    }
  });
}

void gradient(const BatchNormProblem& p, const BatchNormGradientArgs& a, const Exec& exec) {
  const Elem* dz = static_cast<const Elem*>(a.dz);
  const Elem* u = static_cast<const Elem*>(a.norm.u);
  Elem* du = static_cast<Elem*>(a.du);
  for_blocks(p, exec, [&](int c0, int64_t first, int64_t last, int64_t) {
    const NormGradientVec norm = norm_gradient_at(a.norm, c0);
    for (int64_t at = first; at < last; at += kLanes) store(du + at, norm(load(dz + at), load(u + at)));
  });
}

}  // namespace

namespace SKNET_ISA {

const BatchNormStatistics batch_norm_statistics_plain{"two_reads", nullptr, statistics_workspace, nullptr, statistics};
const BatchNormFold batch_norm_fold_plain{"one_pass", nullptr, nullptr, nullptr, fold};
const BatchNormApply batch_norm_apply_plain{"one_pass", nullptr, nullptr, nullptr, apply};
const BatchNormClose batch_norm_close_plain{"one_pass", nullptr, close_workspace, nullptr, close};
const BatchNormGradient batch_norm_gradient_plain{"one_pass", nullptr, nullptr, nullptr, gradient};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
