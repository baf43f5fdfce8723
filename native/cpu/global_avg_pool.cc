// global_avg_pool on the CPU: an image's block of channels at a time; sums of kRun pixels are added up in float64.
#include "ops/global_avg_pool.h"

#include "cpu/batch_stats.h"
#include "cpu/kernels.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

size_t forward_workspace(const GlobalAvgPoolProblem& p) { return sum_planes_workspace(planes_in(p.n, p.c), p.hw, 1); }

void forward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolForwardArgs& a, const Exec& exec) {
  const auto piece = [&](int64_t plane, int first, int last, double* out) {
    const Elem* x = static_cast<const Elem*>(a.x) + (plane * p.hw + first) * kLanes;
    sum_pixels(x, last - first, [](Vec v) { return v; }).store_to(out);
  };
  sum_planes<1>(exec, planes_in(p.n, p.c), p.hw, 1, piece, [&](int64_t plane, const double* sum) {
    float mean[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) mean[lane] = static_cast<float>(sum[lane] / p.hw);
    store(static_cast<Elem*>(a.y) + plane * kLanes, load(mean));
  });
}

void backward(const GlobalAvgPoolProblem& p, const GlobalAvgPoolBackwardArgs& a, const Exec& exec) {
  for_pieces(*exec.pool, planes_in(p.n, p.c), p.hw, [&](int64_t plane, int first, int last, int64_t) {
    const Vec share = load(static_cast<const Elem*>(a.dy) + plane * kLanes) / static_cast<float>(p.hw);
    Elem* dx = static_cast<Elem*>(a.dx);
    const Elem* add = static_cast<const Elem*>(a.add);
    for (int64_t at = (plane * p.hw + first) * kLanes; at < (plane * p.hw + last) * kLanes; at += kLanes) {
      store(dx + at, add == nullptr ? share : load(add + at) + share);
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const GlobalAvgPoolForward global_avg_pool_forward_plain{"blocks", nullptr, forward_workspace, nullptr, forward};
const GlobalAvgPoolBackward global_avg_pool_backward_plain{"blocks", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
