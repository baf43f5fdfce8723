// conv2d as a matrix product: what the rows of the operands are. Any kernel, stride, padding, dilation and groups; one group at a time.
// The summed index of the forward product is k = (kernel row, kernel column, channel), which keeps runs of NHWC input contiguous.
#pragma once

#include "cpu/gemm.h"
#include "ops/conv2d.h"

namespace sknet::cpu {
namespace {

// Part [k0, k0 + count) of the im2col row of one output pixel, for channels [c0, c0 + cg) of an input of size h x w x c.
// (ih0, iw0): input position under the kernel's first tap.
inline void gather_window(const float* image, int h, int w, int c, int c0, int cg, int kernel, int dilation, int ih0, int iw0, int k0,
                          int count, float* dst) {
  const int row_len = kernel * cg;
  // Whole kernel rows are one run of memory when the channels are not grouped and the taps are neighbours.
  const bool runs = cg == c && dilation == 1 && iw0 >= 0 && iw0 + kernel <= w;
  const int seg = runs ? row_len : cg;
  for (int done = 0; done < count;) {
    const int k = k0 + done, segment = k / seg, offset = k % seg;
    const int len = min_of(seg - offset, count - done);
    const int kh = runs ? segment : segment / kernel, kw = runs ? 0 : segment % kernel;
    const int ih = ih0 + kh * dilation, iw = iw0 + kw * dilation;
    if (ih >= 0 && ih < h && iw >= 0 && iw < w) {
      copy_floats(dst + done, image + (static_cast<int64_t>(ih) * w + iw) * c + c0 + offset, len);
    } else {
      zero_floats(dst + done, len);
    }
    done += len;
  }
}

inline void gemm_forward(const Conv2dProblem& p, const Conv2dForwardArgs& a, const Exec& exec) {
  const int cg = p.c / p.groups, og = p.out / p.groups, taps = p.kernel * p.kernel, k = taps * cg;
  const int pixels = p.oh * p.ow;
  float* packed = reinterpret_cast<float*>(exec.workspace);
  for (int g = 0; g < p.groups; ++g) {
    const float* weight = a.weight + static_cast<int64_t>(g) * og * k;
    if (p.kernel == 1) {
      pack_b(*exec.pool, k, og, packed, [&](int i, int j) { return weight[static_cast<int64_t>(j) * k + i]; });
    } else {
      pack_b(*exec.pool, k, og, packed, [&](int i, int j) { return weight[static_cast<int64_t>(j) * k + i % cg * taps + i / cg]; });
    }
    const float* bias = a.bias == nullptr ? nullptr : a.bias + g * og;
    const auto target = [&](int64_t row) { return a.y + row * p.out + g * og; };
    const int64_t rows = static_cast<int64_t>(p.n) * pixels;
    if (p.kernel == 1 && p.stride == 1 && p.padding == 0) {
      const auto gather = [&](int64_t row, int k0, int count, float* dst) { copy_floats(dst, a.x + row * p.c + g * cg + k0, count); };
      gemm_rows(exec, rows, k, og, packed, bias, false, gather, target);
    } else {
      const auto gather = [&](int64_t row, int k0, int count, float* dst) {
        const int64_t n = row / pixels;
        const int pixel = static_cast<int>(row % pixels);
        gather_window(a.x + n * p.h * p.w * p.c, p.h, p.w, p.c, g * cg, cg, p.kernel, p.dilation, pixel / p.ow * p.stride - p.padding,
                      pixel % p.ow * p.stride - p.padding, k0, count, dst);
      };
      gemm_rows(exec, rows, k, og, packed, bias, false, gather, target);
    }
  }
}

// Sets dx to zero in the parallel grain of images.
inline void zero_images(const Conv2dProblem& p, float* dx, const Exec& exec) {
  const int64_t image = static_cast<int64_t>(p.h) * p.w * p.c;
  parallel_for(*exec.pool, p.n, [&](int64_t n, int) { zero_floats(dx + n * image, image); });
}

// 1x1 without padding: a product over output pixels, each written to the one input pixel it came from.
inline void gemm_backward_data_pointwise(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec, const float* packed,
                                         int g) {
  const int cg = p.c / p.groups, og = p.out / p.groups, pixels = p.oh * p.ow;
  const auto gather = [&](int64_t row, int k0, int count, float* dst) { copy_floats(dst, a.dy + row * p.out + g * og + k0, count); };
  const auto target = [&](int64_t row) {
    const int64_t n = row / pixels;
    const int pixel = static_cast<int>(row % pixels), ih = pixel / p.ow * p.stride, iw = pixel % p.ow * p.stride;
    return a.dx + ((n * p.h + ih) * p.w + iw) * p.c + g * cg;
  };
  gemm_rows(exec, static_cast<int64_t>(p.n) * pixels, og, cg, packed, nullptr, a.accumulate, gather, target);
}

inline void gemm_backward_data(const Conv2dProblem& p, const Conv2dBackwardDataArgs& a, const Exec& exec) {
  const int cg = p.c / p.groups, og = p.out / p.groups, taps = p.kernel * p.kernel, k = taps * og;
  const bool pointwise = p.kernel == 1 && p.padding == 0;
  if (pointwise && p.stride > 1 && !a.accumulate) zero_images(p, a.dx, exec);
  float* packed = reinterpret_cast<float*>(exec.workspace);
  for (int g = 0; g < p.groups; ++g) {
    const float* weight = a.weight + static_cast<int64_t>(g) * og * cg * taps;
    pack_b(*exec.pool, k, cg, packed, [&](int i, int j) {
      const int tap = i / og, o = i % og;
      return weight[(static_cast<int64_t>(o) * cg + j) * taps + tap];
    });
    if (pointwise) {
      gemm_backward_data_pointwise(p, a, exec, packed, g);
      continue;
    }
    const auto gather = [&](int64_t row, int k0, int count, float* dst) {
      const int64_t n = row / (p.h * p.w);
      const int pixel = static_cast<int>(row % (p.h * p.w)), ih = pixel / p.w, iw = pixel % p.w;
      for (int done = 0; done < count;) {
        const int tap = (k0 + done) / og, offset = (k0 + done) % og, len = min_of(og - offset, count - done);
        const int sh = ih + p.padding - tap / p.kernel * p.dilation, sw = iw + p.padding - tap % p.kernel * p.dilation;
        if (sh >= 0 && sw >= 0 && sh % p.stride == 0 && sw % p.stride == 0 && sh / p.stride < p.oh && sw / p.stride < p.ow) {
          copy_floats(dst + done, a.dy + ((n * p.oh + sh / p.stride) * p.ow + sw / p.stride) * p.out + g * og + offset, len);
        } else {
          zero_floats(dst + done, len);
        }
        done += len;
      }
    };
    const auto target = [&](int64_t row) { return a.dx + row * p.c + g * cg; };
    gemm_rows(exec, static_cast<int64_t>(p.n) * p.h * p.w, k, cg, packed, nullptr, a.accumulate, gather, target);
  }
}

inline void gemm_backward_weight(const Conv2dProblem& p, const Conv2dBackwardWeightArgs& a, const Exec& exec) {
  const int cg = p.c / p.groups, og = p.out / p.groups, taps = p.kernel * p.kernel, k = taps * cg;
  const int pixels = p.oh * p.ow;
  const int64_t rows = static_cast<int64_t>(p.n) * pixels;
  float* partial = reinterpret_cast<float*>(exec.workspace);
  const int chunks = plan_reduce(rows, og, k).chunks;
  for (int g = 0; g < p.groups; ++g) {
    const auto gather_dy = [&](int64_t row, int m0, int count, float* dst) { copy_floats(dst, a.dy + row * p.out + g * og + m0, count); };
    if (p.kernel == 1 && p.stride == 1 && p.padding == 0) {
      const auto gather_x = [&](int64_t row, int k0, int count, float* dst) { copy_floats(dst, a.x + row * p.c + g * cg + k0, count); };
      gemm_reduce(exec, rows, og, k, partial, gather_dy, gather_x);
    } else {
      const auto gather_x = [&](int64_t row, int k0, int count, float* dst) {
        const int64_t n = row / pixels;
        const int pixel = static_cast<int>(row % pixels);
        gather_window(a.x + n * p.h * p.w * p.c, p.h, p.w, p.c, g * cg, cg, p.kernel, p.dilation, pixel / p.ow * p.stride - p.padding,
                      pixel % p.ow * p.stride - p.padding, k0, count, dst);
      };
      gemm_reduce(exec, rows, og, k, partial, gather_dy, gather_x);
    }
    float* dweight = a.dweight + static_cast<int64_t>(g) * og * k;
    parallel_for(*exec.pool, og, [&](int64_t o, int) {
      for (int i = 0; i < k; ++i) {
        float sum = 0;
        for (int chunk = 0; chunk < chunks; ++chunk) sum += partial[(static_cast<int64_t>(chunk) * og + o) * k + i];
        dweight[o * k + i % cg * taps + i / cg] = sum;
      }
    });
  }
}

// dbias[o] = sum of dy over all rows.
inline void bias_gradient(const Conv2dProblem& p, const float* dy, float* dbias, const Exec& exec) {
  const int64_t rows = static_cast<int64_t>(p.n) * p.oh * p.ow;
  parallel_for(*exec.pool, ceil_div(p.out, kLanes), [&](int64_t block, int) {
    const int c0 = static_cast<int>(block) * kLanes, lanes = min_of(kLanes, p.out - c0);
    Vec total{};
    for (int64_t first = 0; first < rows; first += kDepth) {
      Vec sum{};
      for (int64_t row = first; row < min_of(rows, first + kDepth); ++row) sum += load_part(dy + row * p.out + c0, lanes);
      total += sum;
    }
    store_part(dbias + c0, total, lanes);
  });
}

}  // namespace
}  // namespace sknet::cpu
