// channel_scale on the CPU: an image's block of channels at a time.
#include "ops/channel_scale.h"

#include "cpu/kernels.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

void forward(const ChannelScaleProblem& p, const ChannelScaleForwardArgs& a, const Exec& exec) {
  const Elem* x = static_cast<const Elem*>(a.x);
  Elem* y = static_cast<Elem*>(a.y);
  for_pieces(*exec.pool, planes_in(p.n, p.c), p.hw, [&](int64_t plane, int first, int last, int64_t) {
    const Vec gate = load(static_cast<const Elem*>(a.gate) + plane * kLanes);
    for (int64_t at = (plane * p.hw + first) * kLanes; at < (plane * p.hw + last) * kLanes; at += kLanes) {
      store(y + at, load(x + at) * gate);
    }
  });
}

size_t backward_workspace(const ChannelScaleProblem& p) { return sum_planes_workspace(planes_in(p.n, p.c), p.hw, 1); }

void backward(const ChannelScaleProblem& p, const ChannelScaleBackwardArgs& a, const Exec& exec) {
  const Elem* x = static_cast<const Elem*>(a.x);
  const Elem* dy = static_cast<const Elem*>(a.dy);
  const Elem* add = static_cast<const Elem*>(a.add_dx);
  Elem* dx = static_cast<Elem*>(a.dx);
  const auto piece = [&](int64_t plane, int first, int last, double* out) {
    const Vec gate = load(static_cast<const Elem*>(a.gate) + plane * kLanes);
    WideSum total;
    for (int p0 = first; p0 < last; p0 += kRun) {
      Vec sum{};
      for (int pixel = p0; pixel < min_of(last, p0 + kRun); ++pixel) {
        const int64_t at = (plane * p.hw + pixel) * kLanes;
        const Vec g = load(dy + at);
        sum += g * load(x + at);
        store(dx + at, add == nullptr ? g * gate : load(add + at) + g * gate);
      }
      total.add(sum);
    }
    total.store_to(out);
  };
  sum_planes<1>(exec, planes_in(p.n, p.c), p.hw, 1, piece, [&](int64_t plane, const double* sum) {
    float rounded[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) rounded[lane] = static_cast<float>(sum[lane]);
    Vec total = load(rounded);
    if (a.add_dgate != nullptr) total += load(static_cast<const Elem*>(a.add_dgate) + plane * kLanes);
    store(static_cast<Elem*>(a.dgate) + plane * kLanes, total);
  });
}

}  // namespace

namespace SKNET_ISA {

const ChannelScaleForward channel_scale_forward_plain{"blocks", nullptr, nullptr, nullptr, forward};
const ChannelScaleBackward channel_scale_backward_plain{"blocks", nullptr, backward_workspace, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
