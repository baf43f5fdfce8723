// max_pool on the CPU: one output row at a time forward; backward image by image, each window looking for its maximum again.
#include "ops/max_pool.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace sknet::cpu {
namespace {

struct Window {
  int h0, h1, w0, w1;  // input rows and columns, clipped
};

Window window_of(const MaxPoolProblem& p, int oh, int ow) {
  const int h = oh * p.stride - p.padding, w = ow * p.stride - p.padding;
  return {max_of(h, 0), min_of(h + p.kernel, p.h), max_of(w, 0), min_of(w + p.kernel, p.w)};
}

void forward(const MaxPoolProblem& p, const MaxPoolForwardArgs& a, const Exec& exec) {
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * p.oh, [&](int64_t item, int) {
    const int64_t n = item / p.oh;
    const int oh = static_cast<int>(item % p.oh);
    const float* x = a.x + n * p.h * p.w * p.c;
    for (int ow = 0; ow < p.ow; ++ow) {
      const Window win = window_of(p, oh, ow);
      float* y = a.y + (item * p.ow + ow) * p.c;
      for (int c0 = 0; c0 < p.c; c0 += kLanes) {
        const int lanes = min_of(kLanes, p.c - c0);
        Vec best = load_part(x + (static_cast<int64_t>(win.h0) * p.w + win.w0) * p.c + c0, lanes);
        for (int h = win.h0; h < win.h1; ++h) {
          for (int w = win.w0; w < win.w1; ++w) {
            const Vec v = load_part(x + (static_cast<int64_t>(h) * p.w + w) * p.c + c0, lanes);
            best = best > v ? best : v;  // a NaN wins, so that it is seen
          }
        }
        store_part(y + c0, best, lanes);
      }
    }
  });
}

void backward(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, const Exec& exec) {
  const int blocks = ceil_div(p.c, kLanes);
  parallel_for(*exec.pool, static_cast<int64_t>(p.n) * blocks, [&](int64_t item, int) {
    const int64_t n = item / blocks;
    const int c0 = static_cast<int>(item % blocks) * kLanes, lanes = min_of(kLanes, p.c - c0);
    const float* x = a.x + n * p.h * p.w * p.c + c0;
    float* dx = a.dx + n * p.h * p.w * p.c + c0;
    if (!a.accumulate) {
      for (int64_t pixel = 0; pixel < static_cast<int64_t>(p.h) * p.w; ++pixel) store_part(dx + pixel * p.c, Vec{}, lanes);
    }
    for (int oh = 0; oh < p.oh; ++oh) {
      for (int ow = 0; ow < p.ow; ++ow) {
        const Window win = window_of(p, oh, ow);
        const int64_t at = ((n * p.oh + oh) * p.ow + ow) * p.c + c0;
        const Vec y = load_part(a.y + at, lanes);
        Vec left = load_part(a.dy + at, lanes);  // what no earlier element of the window has taken
        for (int h = win.h0; h < win.h1; ++h) {
          for (int w = win.w0; w < win.w1; ++w) {
            const int64_t pixel = (static_cast<int64_t>(h) * p.w + w) * p.c;
            const IntVec hit = load_part(x + pixel, lanes) == y;
            store_part(dx + pixel, load_part(dx + pixel, lanes) + (hit ? left : Vec{}), lanes);
            left = hit ? Vec{} : left;
          }
        }
      }
    }
  });
}

}  // namespace

namespace SKNET_ISA {

const MaxPoolForward max_pool_forward_plain{"rows", nullptr, nullptr, nullptr, forward};
const MaxPoolBackward max_pool_backward_plain{"search", nullptr, nullptr, nullptr, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
