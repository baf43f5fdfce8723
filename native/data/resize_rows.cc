#include "data/resize_rows.h"

#include <algorithm>

#include "core/cpu_features.h"

namespace sknet::data {

namespace {

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

void horizontal(const uint8_t* in, int64_t stride, int rows, int, const AxisView& axis, uint8_t* out) {
  for (int y = 0; y < rows; ++y, in += stride) {
    const int32_t* weights = axis.weights;
    for (int x = 0; x < axis.outputs; ++x, weights += axis.taps, out += 3) {
      const uint8_t* pixel = in + int64_t{3} * axis.first[x];
      const int count = axis.count[x];
      int32_t r = kWeightHalf, g = kWeightHalf, b = kWeightHalf;
      for (int k = 0; k < count; ++k, pixel += 3) {
        r += pixel[0] * weights[k];
        g += pixel[1] * weights[k];
        b += pixel[2] * weights[k];
      }
      out[0] = to_byte(r);
      out[1] = to_byte(g);
      out[2] = to_byte(b);
    }
  }
}

void vertical(const uint8_t* in, int64_t stride, const AxisView& axis, int output, int64_t bytes, uint8_t* out) {
  constexpr int kBlock = 64;
  const int32_t* weights = axis.weights + static_cast<int64_t>(output) * axis.taps;
  const int count = axis.count[output];
  for (int64_t begin = 0; begin < bytes; begin += kBlock) {
    const int width = static_cast<int>(std::min<int64_t>(kBlock, bytes - begin));
    int32_t sums[kBlock];
    std::fill_n(sums, width, kWeightHalf);
    const uint8_t* row = in + begin;
    for (int k = 0; k < count; ++k, row += stride) {
      const int32_t weight = weights[k];
      for (int x = 0; x < width; ++x) sums[x] += row[x] * weight;
    }
    for (int x = 0; x < width; ++x) out[begin + x] = to_byte(sums[x]);
  }
}

}  // namespace

extern const RowKernels kRowKernelsPortable = {horizontal, vertical};

const RowKernels& row_kernels() {
#if defined(__x86_64__)
  if (isa_in_use() != Isa::kPortable) return kRowKernelsAvx2;
#endif
  return kRowKernelsPortable;
}

}  // namespace sknet::data
