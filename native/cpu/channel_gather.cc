// channel_gather on the CPU: a block of the output at a time, from the few blocks that its lanes come from.
#include "ops/channel_gather.h"

#include "cpu/kernels.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

// One channel of activations x, which have c. A null x: no channel, zeros.
struct Origin {
  const Elem* x;
  int c, channel;
};

// Lanes that come from one plane.
struct Part {
  const Elem* from;
  IntVec lane, wanted;
};

template <int kCount>  // 0: not known at compile time
void gather_pixels(const Part* parts, int count, Elem* y, const Elem* add, int64_t first, int64_t last) {
  for (int64_t at = first * kLanes; at < last * kLanes; at += kLanes) {
    Vec v{};
    for (int i = 0; i < (kCount == 0 ? count : kCount); ++i) v = parts[i].wanted ? shuffle(load(parts[i].from + at), parts[i].lane) : v;
    store(y + at, add == nullptr ? v : load(add + at) + v);
  }
}

// y [n, hw, c]: channel i is origin(i), plus add.
template <class F>
void gather(const Exec& exec, int n, int hw, int c, Elem* y, const Elem* add, const F& origin) {
  const int blocks = blocks_in(c, kLanes);
  for_pieces(*exec.pool, planes_in(n, c), hw, [&](int64_t plane, int first, int last, int64_t) {
    const int64_t image = plane / blocks;
    const int c0 = static_cast<int>(plane % blocks) * kLanes;
    Part parts[kLanes];
    int count = 0;
    for (int lane = 0; lane < min_of(kLanes, c - c0); ++lane) {
      const Origin o = origin(c0 + lane);
      if (o.x == nullptr) continue;
      const Elem* from = o.x + (image * blocks_in(o.c, kLanes) + o.channel / kLanes) * hw * kLanes;
      int part = 0;
      while (part < count && parts[part].from != from) ++part;
      if (part == count) parts[count++] = Part{from, IntVec{}, IntVec{}};
      parts[part].lane[lane] = o.channel % kLanes;
      parts[part].wanted[lane] = -1;
    }
    Elem* to = y + plane * hw * kLanes;
    const Elem* more = add == nullptr ? nullptr : add + plane * hw * kLanes;
    if (count == 1) {
      gather_pixels<1>(parts, count, to, more, first, last);
    } else if (count == 2) {
      gather_pixels<2>(parts, count, to, more, first, last);
    } else {
      gather_pixels<0>(parts, count, to, more, first, last);
    }
  });
}

void forward(const ChannelGatherProblem& p, const ChannelGatherForwardArgs& a, const Exec& exec) {
  const int run = p.out / p.groups;
  gather(exec, p.n, p.hw, p.out, static_cast<Elem*>(a.y), static_cast<const Elem*>(a.add), [&](int j) {
    int channel = p.first + j % p.groups * run + j / p.groups, source = 0;
    while (channel >= p.c[source]) channel -= p.c[source++];
    return Origin{static_cast<const Elem*>(a.x[source]), p.c[source], channel};
  });
}

void backward(const ChannelGatherProblem& p, const ChannelGatherBackwardArgs& a, const Exec& exec) {
  const int run = p.out / p.groups;
  int offset = -p.first;
  for (int i = 0; i < a.source; ++i) offset += p.c[i];
  gather(exec, p.n, p.hw, p.c[a.source], static_cast<Elem*>(a.dx), static_cast<const Elem*>(a.add), [&](int channel) {
    const int k = offset + channel;
    if (k < 0 || k >= p.out) return Origin{};
    return Origin{static_cast<const Elem*>(a.dy), p.out, k % run * p.groups + k / run};
  });
}

}  // namespace

namespace SKNET_ISA {

const ChannelGatherForward channel_gather_forward_plain{"lanes", nullptr, nullptr, nullptr, forward};
const ChannelGatherBackward channel_gather_backward_plain{"lanes", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
