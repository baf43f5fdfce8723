// conv2d on the CPU by plain loops over blocked activations, for any kernel, stride, padding, dilation and grouping. One block of channels
// a time; of the other side, planes are gathered whose lane l holds the channel that lane l needs, so that a block may mix groups.
#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"
#include "ops/conv2d.h"
#include "ops/layout.h"

namespace sknet::cpu {
namespace {

const char* refuse(const Conv2dProblem& p) {
  const Conv2dFusion& f = p.fusion;
  return f.x_rows || f.x_norm || f.x_branches > 0 || f.statistics || f.y_norm || f.dy_norm || f.close ? "fused" : nullptr;
}

// A plane of the input with a halo as wide as the padding: no bounds to check.
struct Padded {
  int w;
  int64_t pixels;
};
Padded padded_input(const Conv2dProblem& p) {
  const int w = p.w + 2 * p.padding;
  return {w, static_cast<int64_t>(p.h + 2 * p.padding) * w};
}

int taps(const Conv2dProblem& p) { return p.kernel * p.kernel; }
int group_in(const Conv2dProblem& p) { return p.c / p.groups; }
int group_out(const Conv2dProblem& p) { return p.out / p.groups; }

// Where, in a padded plane, the input pixel of output (oh, ow) and of a tap lies.
int64_t pixel_at(const Conv2dProblem& p, int oh, int ow) { return (static_cast<int64_t>(oh) * padded_input(p).w + ow) * p.stride * kLanes; }
int64_t tap_at(const Conv2dProblem& p, int tap) {
  return (static_cast<int64_t>(tap / p.kernel) * padded_input(p).w + tap % p.kernel) * p.dilation * kLanes;
}

// Lane l of a gathered plane: channel[l], or zeros where that is negative. `to` has rows of to_w pixels.
void gather_plane(const Elem* image, int h, int w, const int (&channel)[kLanes], float* to, int to_w) {
  bool done[kLanes] = {};
  bool first = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (done[lane] || channel[lane] < 0) continue;
    const int block = channel[lane] / kLanes;  // all lanes that want channels of this block
    IntVec index{}, wanted{};
    for (int other = lane; other < kLanes; ++other) {
      if (channel[other] < 0 || channel[other] / kLanes != block) continue;
      done[other] = true;
      index[other] = channel[other] % kLanes;
      wanted[other] = -1;
    }
    const Elem* from = image + static_cast<int64_t>(block) * h * w * kLanes;
    for (int row = 0; row < h; ++row) {
      float* put = to + static_cast<int64_t>(row) * to_w * kLanes;
      for (int64_t at = 0; at < static_cast<int64_t>(w) * kLanes; at += kLanes) {
        const Vec v = shuffle(load(from + static_cast<int64_t>(row) * w * kLanes + at), index);
        store(put + at, wanted ? v : first ? Vec{} : load(put + at));
      }
    }
    first = false;
  }
}

// A vector of weights a tap: lane l is that between output channel out[l] and number in[l] of its group's inputs, zero where one is
// negative.
void gather_weights(const Conv2dProblem& p, const float* weight, const int (&out)[kLanes], const int (&in)[kLanes], float* to) {
  for (int tap = 0; tap < taps(p); ++tap) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const bool real = out[lane] >= 0 && in[lane] >= 0;
      to[tap * kLanes + lane] = real ? weight[(static_cast<int64_t>(out[lane]) * group_in(p) + in[lane]) * taps(p) + tap] : 0;
    }
  }
}

// For the block of channels from c0 on one side, and number i of their groups on the other: negative beyond the channels.
struct Lanes {
  int own[kLanes], other[kLanes], number[kLanes];  // channel of this side, channel of the other side, i
};
Lanes lanes_of(int c0, int channels, int group, int other_group, int i) {
  Lanes lanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    const int c = c0 + lane;
    lanes.own[lane] = c < channels ? c : -1;
    lanes.other[lane] = c < channels ? c / group * other_group + i : -1;
    lanes.number[lane] = c < channels ? i : -1;
  }
  return lanes;
}

float* scratch_of(const Exec& exec, int thread) {
  return reinterpret_cast<float*>(exec.scratch + static_cast<size_t>(thread) * exec.scratch_stride);
}

// A padded plane of the input, a plane of the output, a block's weights.
size_t scratch(const Conv2dProblem& p) {
  const int64_t pixels = padded_input(p).pixels + static_cast<int64_t>(p.oh) * p.ow + taps(p);
  return sizeof(float) * kLanes * static_cast<size_t>(pixels);
}

const Elem* image_at(const void* x, int64_t n, int channels, int hw) {
  return static_cast<const Elem*>(x) + n * padded_channels(channels, kLanes) * hw;
}

void forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.out, kLanes), pixels = p.oh * p.ow;
  const Padded in = padded_input(p);
  const int64_t origin = (static_cast<int64_t>(p.padding) * in.w + p.padding) * kLanes;
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int thread) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes;
    float* x = scratch_of(exec, thread);
    float* y = x + in.pixels * kLanes;
    float* weights = y + static_cast<int64_t>(pixels) * kLanes;
    zero_floats(x, in.pixels * kLanes);
    const Vec bias = a.bias == nullptr ? Vec{} : load_part(a.bias + c0, min_of(kLanes, p.out - c0));
    for (int64_t at = 0; at < static_cast<int64_t>(pixels) * kLanes; at += kLanes) store(y + at, bias);
    for (int i = 0; i < group_in(p); ++i) {
      const Lanes lanes = lanes_of(c0, p.out, group_out(p), group_in(p), i);
      gather_plane(image_at(a.x, n, p.c, p.h * p.w), p.h, p.w, lanes.other, x + origin, in.w);
      gather_weights(p, a.weight, lanes.own, lanes.number, weights);
      for (int tap = 0; tap < taps(p); ++tap) {
        const Vec weight = load(weights + tap * kLanes);
        for (int oh = 0; oh < p.oh; ++oh) {
          const float* from = x + pixel_at(p, oh, 0) + tap_at(p, tap);
          float* to = y + static_cast<int64_t>(oh) * p.ow * kLanes;
          for (int ow = 0; ow < p.ow; ++ow) {
            store(to + ow * kLanes, load(to + ow * kLanes) + weight * load(from + static_cast<int64_t>(ow) * p.stride * kLanes));
          }
        }
      }
    }
    Elem* out = static_cast<Elem*>(a.y) + item * pixels * kLanes;
    for (int64_t at = 0; at < static_cast<int64_t>(pixels) * kLanes; at += kLanes) store(out + at, load(y + at));
  });
}

void backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes), pixels = p.oh * p.ow;
  const Padded in = padded_input(p);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int thread) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes;
    float* dx = scratch_of(exec, thread);
    float* dy = dx + in.pixels * kLanes;
    float* weights = dy + static_cast<int64_t>(pixels) * kLanes;
    zero_floats(dx, in.pixels * kLanes);
    zero_floats(dy, static_cast<int64_t>(pixels) * kLanes);
    for (int i = 0; i < group_out(p); ++i) {
      const Lanes lanes = lanes_of(c0, p.c, group_in(p), group_out(p), i);
      int within[kLanes];  // number of the input channel in its group
      for (int lane = 0; lane < kLanes; ++lane) within[lane] = lanes.own[lane] < 0 ? -1 : lanes.own[lane] % group_in(p);
      gather_plane(image_at(a.dy, n, p.out, pixels), p.oh, p.ow, lanes.other, dy, p.ow);
      gather_weights(p, a.weight, lanes.other, within, weights);
      for (int tap = 0; tap < taps(p); ++tap) {
        const Vec weight = load(weights + tap * kLanes);
        for (int oh = 0; oh < p.oh; ++oh) {
          const float* from = dy + static_cast<int64_t>(oh) * p.ow * kLanes;
          float* to = dx + pixel_at(p, oh, 0) + tap_at(p, tap);
          for (int ow = 0; ow < p.ow; ++ow) {
            float* put = to + static_cast<int64_t>(ow) * p.stride * kLanes;
            store(put, load(put) + weight * load(from + ow * kLanes));
          }
        }
      }
    }
    const int64_t plane = item * p.h * p.w * kLanes;
    const Elem* add = static_cast<const Elem*>(a.add);
    for (int h = 0; h < p.h; ++h) {
      const float* from = dx + (static_cast<int64_t>(h + p.padding) * in.w + p.padding) * kLanes;
      for (int w = 0; w < p.w; ++w) {
        const int64_t at = plane + (static_cast<int64_t>(h) * p.w + w) * kLanes;
        const Vec v = load(from + w * kLanes);
        store(static_cast<Elem*>(a.dx) + at, add == nullptr ? v : load(add + at) + v);
      }
    }
  });
}

void store_doubles(float* to, int64_t stride, const WideSum& sum, int lanes) {
  double values[kLanes];
  sum.store_to(values);
  for (int lane = 0; lane < lanes; ++lane) to[lane * stride] = static_cast<float>(values[lane]);
}

// An item is a block of outputs and one input channel of their groups; the images' sums are added in order.
void backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.out, kLanes), pixels = p.oh * p.ow;
  const Padded in = padded_input(p);
  const int64_t origin = (static_cast<int64_t>(p.padding) * in.w + p.padding) * kLanes;
  parallel_for(*exec.pool, static_cast<int64_t>(blocks) * group_in(p), [&](int64_t item, int thread) {
    const int block = static_cast<int>(item / group_in(p)), i = static_cast<int>(item % group_in(p));
    const int c0 = block * kLanes, real = min_of(kLanes, p.out - c0);
    const Lanes lanes = lanes_of(c0, p.out, group_out(p), group_in(p), i);
    float* x = scratch_of(exec, thread);
    WideSum* sums = reinterpret_cast<WideSum*>(x + in.pixels * kLanes);
    for (int tap = 0; tap <= taps(p); ++tap) sums[tap] = WideSum{};
    zero_floats(x, in.pixels * kLanes);
    for (int n = 0; n < p.n; ++n) {
      const Elem* dy = image_at(a.dy, n, p.out, pixels) + static_cast<int64_t>(block) * pixels * kLanes;
      gather_plane(image_at(a.x, n, p.c, p.h * p.w), p.h, p.w, lanes.other, x + origin, in.w);
      for (int oh = 0; oh < p.oh; ++oh) {
        const Elem* row = dy + static_cast<int64_t>(oh) * p.ow * kLanes;
        for (int tap = 0; tap < taps(p); ++tap) {
          const float* from = x + pixel_at(p, oh, 0) + tap_at(p, tap);
          Vec sum{};
          for (int ow = 0; ow < p.ow; ++ow) sum += load(row + ow * kLanes) * load(from + static_cast<int64_t>(ow) * p.stride * kLanes);
          sums[tap].add(sum);
        }
        if (a.dbias == nullptr || i > 0) continue;
        Vec sum{};
        for (int ow = 0; ow < p.ow; ++ow) sum += load(row + ow * kLanes);
        sums[taps(p)].add(sum);
      }
    }
    const int64_t filter = static_cast<int64_t>(group_in(p)) * taps(p);
    for (int tap = 0; tap < taps(p); ++tap) {
      store_doubles(a.dweight + c0 * filter + static_cast<int64_t>(i) * taps(p) + tap, filter, sums[tap], real);
    }
    if (a.dbias != nullptr && i == 0) store_doubles(a.dbias + c0, 1, sums[taps(p)], real);
  });
}

size_t backward_weight_scratch(const Conv2dProblem& p) {
  return sizeof(float) * kLanes * static_cast<size_t>(padded_input(p).pixels) + sizeof(WideSum) * static_cast<size_t>(taps(p) + 1);
}

}  // namespace

namespace SKNET_ISA {

const Conv2dForward conv2d_forward_direct{"direct", refuse, nullptr, scratch, forward};
const Conv2dBackwardData conv2d_backward_data_direct{"direct", refuse, nullptr, scratch, backward_data};
const Conv2dBackwardWeight conv2d_backward_weight_direct{"direct", refuse, nullptr, backward_weight_scratch, backward_weight};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
