// max_pool on the CPU: rows of one (image, block of channels) plane at a time. Backward looks for each window's maximum again; the
// gradients of the few rows that windows still reach are summed in a ring of rows, and every row of dx is written once.
#include "ops/max_pool.h"

#include "core/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/norm.h"
#include "cpu/plane_pass.h"

namespace sknet::cpu {
namespace {

struct Window {
  int h0, h1, w0, w1;  // input rows and columns, clipped
};

Window window_of(const MaxPoolProblem& p, int oh, int ow) {
  const int h = oh * p.stride - p.padding, w = ow * p.stride - p.padding;
  return {max_of(h, 0), min_of(h + p.kernel, p.h), max_of(w, 0), min_of(w + p.kernel, p.w)};
}

// v as it would come back from memory, so that it compares equal to what forward stored.
SKNET_INLINE Vec as_stored(Vec v) {
  Elem memory[kLanes];
  store(memory, v);
  return load(memory);
}

// f(reader) with what reads a pixel of the input, through its batch norm where there is one.
template <class F>
void with_reader(const Normalize& norm, int c0, const F& f) {
  if (norm.scale == nullptr) {
    f([](const Elem* x) { return load(x); });
    return;
  }
  const Vec scale = load(norm.scale + c0), shift = load(norm.shift + c0);
  if (norm.relu) {
    f([=](const Elem* x) { return as_stored(relu(scale * load(x) + shift)); });
  } else {
    f([=](const Elem* x) { return as_stored(scale * load(x) + shift); });
  }
}

// The largest so far; a NaN wins, so that it is seen.
struct Largest {
  Vec best, nan{};
  SKNET_INLINE void take(Vec v) {
    best = v > best ? v : best;
    nan = v == v ? nan : v;
  }
  SKNET_INLINE Vec value() const { return nan == nan ? best : nan; }
};

template <int kKernel, class Reader>  // kKernel: 0, where the kernel is not known at compile time
void forward_rows(const MaxPoolProblem& p, const Elem* x, Elem* y, int first, int last, const Reader& read) {
  for (int oh = first; oh < last; ++oh) {
    for (int ow = 0; ow < p.ow; ++ow) {
      const Window win = window_of(p, oh, ow);
      const Elem* corner = x + (static_cast<int64_t>(win.h0) * p.w + win.w0) * kLanes;
      Largest largest{read(corner)};
      if (win.h1 - win.h0 == kKernel && win.w1 - win.w0 == kKernel) {
        for (int h = 0; h < kKernel; ++h) {
#pragma GCC unroll 8
          for (int w = 0; w < kKernel; ++w) largest.take(read(corner + (static_cast<int64_t>(h) * p.w + w) * kLanes));
        }
      } else {
        for (int h = win.h0; h < win.h1; ++h) {
          for (int w = win.w0; w < win.w1; ++w) largest.take(read(x + (static_cast<int64_t>(h) * p.w + w) * kLanes));
        }
      }
      store(y + (static_cast<int64_t>(oh) * p.ow + ow) * kLanes, largest.value());
    }
  }
}

void forward(const MaxPoolProblem& p, const MaxPoolForwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes);
  for_pieces(*exec.pool, planes_in(p.n, p.c), p.oh, [&](int64_t plane, int first, int last, int64_t) {
    const Elem* x = static_cast<const Elem*>(a.x) + plane * p.h * p.w * kLanes;
    Elem* y = static_cast<Elem*>(a.y) + plane * p.oh * p.ow * kLanes;
    with_reader(a.x_norm, static_cast<int>(plane % blocks) * kLanes, [&](const auto& read) {
      if (p.kernel == 3) {
        forward_rows<3>(p, x, y, first, last, read);
      } else {
        forward_rows<0>(p, x, y, first, last, read);
      }
    });
  });
}

// A thread's ring of p.kernel rows, and where in it the rows of the current window lie.
size_t ring_row(const MaxPoolProblem& p) { return static_cast<size_t>(p.w) * kLanes; }
size_t backward_scratch(const MaxPoolProblem& p) { return static_cast<size_t>(p.kernel) * (sizeof(float) * ring_row(p) + sizeof(float*)); }

// The gradient of a window goes to the first of its pixels that equals y. kSize: that of the window, or 0 if it is cut.
template <int kSize, class Reader>
SKNET_INLINE void scatter_window(const MaxPoolProblem& p, const Window& win, const Elem* x, float* const* rows, Vec y, Vec dy,
                                 const Reader& read) {
  Vec left = dy;  // what no earlier pixel of the window has taken
  const int height = kSize == 0 ? win.h1 - win.h0 : kSize, width = kSize == 0 ? win.w1 - win.w0 : kSize;
#pragma GCC unroll 4
  for (int h = 0; h < height; ++h) {
    const Elem* from = x + (static_cast<int64_t>(win.h0 + h) * p.w + win.w0) * kLanes;
    float* to = rows[h] + static_cast<int64_t>(win.w0) * kLanes;
#pragma GCC unroll 4
    for (int w = 0; w < width; ++w) {
      const Vec v = read(from + w * kLanes), zero{};
      store(to + w * kLanes, load(to + w * kLanes) + (v == y ? left : zero));
      left = v == y ? zero : left;
    }
  }
}

// Rows [first, last) of one plane's dx.
template <class Reader>
void backward_rows(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, int64_t plane, int first, int last, char* scratch,
                   const Reader& read) {
  const int64_t row_elems = static_cast<int64_t>(p.w) * kLanes;
  const Elem* x = static_cast<const Elem*>(a.x) + plane * p.h * row_elems;
  const Elem* add = a.add == nullptr ? nullptr : static_cast<const Elem*>(a.add) + plane * p.h * row_elems;
  Elem* dx = static_cast<Elem*>(a.dx) + plane * p.h * row_elems;
  float* ring = reinterpret_cast<float*>(scratch);
  float** rows = reinterpret_cast<float**>(ring + p.kernel * row_elems);
  int opened = 0, finished = first;  // rows before `opened` have been in the ring; those before `finished` are written
  const auto finish = [&](int end) {
    for (; finished < end; ++finished) {
      const float* sums = ring + finished % p.kernel * row_elems;
      const int64_t row = finished * row_elems;
      for (int64_t at = 0; at < row_elems; at += kLanes) {
        const Vec sum = finished < opened ? load(sums + at) : Vec{};
        store(dx + row + at, add == nullptr ? sum : load(add + row + at) + sum);
      }
    }
  };
  for (int oh = max_of(0, ceil_div(first + p.padding - p.kernel + 1, p.stride)); oh < p.oh && oh * p.stride - p.padding < last; ++oh) {
    const Window window = window_of(p, oh, 0);
    finish(min_of(window.h0, last));
    for (int h = window.h0; h < window.h1; ++h) {
      rows[h - window.h0] = ring + h % p.kernel * row_elems;
      if (h >= opened) zero_floats(rows[h - window.h0], row_elems);
    }
    opened = window.h1;
    for (int ow = 0; ow < p.ow; ++ow) {
      const Window win = window_of(p, oh, ow);
      const int64_t at = ((plane * p.oh + oh) * p.ow + ow) * kLanes;
      const Vec y = load(static_cast<const Elem*>(a.y) + at), dy = load(static_cast<const Elem*>(a.dy) + at);
      if (win.h1 - win.h0 == 3 && win.w1 - win.w0 == 3) {
        scatter_window<3>(p, win, x, rows, y, dy, read);
      } else {
        scatter_window<0>(p, win, x, rows, y, dy, read);
      }
    }
  }
  finish(last);
}

void backward(const MaxPoolProblem& p, const MaxPoolBackwardArgs& a, const Exec& exec) {
  const int blocks = blocks_in(p.c, kLanes);
  const int64_t planes = planes_in(p.n, p.c);
  const PixelChunks pieces = pixel_chunks(planes, p.h, kWholePlane);
  parallel_for(*exec.pool, planes * pieces.count, [&](int64_t item, int thread) {
    const int64_t plane = item / pieces.count;
    const int first = static_cast<int>(item % pieces.count) * pieces.size, last = min_of(p.h, first + pieces.size);
    char* scratch = exec.scratch + static_cast<size_t>(thread) * exec.scratch_stride;
    with_reader(a.x_norm, static_cast<int>(plane % blocks) * kLanes,
                [&](const auto& read) { backward_rows(p, a, plane, first, last, scratch, read); });
  });
}

}  // namespace

namespace SKNET_ISA {

const MaxPoolForward max_pool_forward_plain{"rows", nullptr, nullptr, nullptr, forward};
const MaxPoolBackward max_pool_backward_plain{"search", nullptr, nullptr, backward_scratch, backward};

}  // namespace SKNET_ISA
}  // namespace sknet::cpu
