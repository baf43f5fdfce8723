#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sknet::data {

namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

double filter_value(Filter filter, double x) {
  x = std::fabs(x);
  if (filter == Filter::kBilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

}  // namespace

void Resizer::fill_axis(int in_size, int out_size, int window_start, int window_size, Filter filter, std::vector<double>& scratch,
                        Axis& axis) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::kBilinear ? 1.0 : 2.0) * stretch;
  axis.taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  axis.first.resize(static_cast<size_t>(window_size));
  axis.count.resize(static_cast<size_t>(window_size));
  axis.weights.assign(static_cast<size_t>(window_size) * static_cast<size_t>(axis.taps), 0);
  scratch.resize(static_cast<size_t>(axis.taps));
  for (int i = 0; i < window_size; ++i) {
    const double center = (window_start + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int count = std::min(static_cast<int>(center + support + 0.5), in_size) - first;
    double total = 0;
    for (int k = 0; k < count; ++k) {
      scratch[static_cast<size_t>(k)] = filter_value(filter, (k + first - center + 0.5) / stretch);
      total += scratch[static_cast<size_t>(k)];
    }
    int32_t* weights = axis.weights.data() + static_cast<int64_t>(i) * axis.taps;
    for (int k = 0; k < count; ++k) {
      const double scaled = (total != 0 ? scratch[static_cast<size_t>(k)] / total : 0) * (1 << kPrecisionBits);
      weights[k] = static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    axis.first[static_cast<size_t>(i)] = first;
    axis.count[static_cast<size_t>(i)] = count;
  }
}

void Resizer::run(const ImageView& source, int width, int height, const Window& window, Filter filter, uint8_t* out) {
  const bool same_width = width == source.width, same_height = height == source.height;
  const int64_t row_bytes = int64_t{3} * window.width;
  if (!same_height) fill_axis(source.height, height, window.y, window.height, filter, scratch_, vertical_);
  const int first_row = same_height ? window.y : vertical_.first.front();
  const int end_row = same_height ? window.y + window.height : vertical_.first.back() + vertical_.count.back();

  // Rows at their final width: the source's own, or the horizontal pass's result.
  const uint8_t* rows = source.data + int64_t{3} * window.x + first_row * source.stride;
  int64_t stride = source.stride;
  if (!same_width) {
    fill_axis(source.width, width, window.x, window.width, filter, scratch_, horizontal_);
    rows_.resize(static_cast<size_t>((end_row - first_row) * row_bytes));
    for (int y = first_row; y < end_row; ++y) {
      const uint8_t* in = source.data + y * source.stride;
      uint8_t* target = rows_.data() + (y - first_row) * row_bytes;
      for (int x = 0; x < window.width; ++x) {
        const uint8_t* pixel = in + int64_t{3} * horizontal_.first[static_cast<size_t>(x)];
        const int32_t* weights = horizontal_.weights.data() + static_cast<int64_t>(x) * horizontal_.taps;
        int32_t r = kHalf, g = kHalf, b = kHalf;
        for (int k = 0; k < horizontal_.count[static_cast<size_t>(x)]; ++k, pixel += 3) {
          r += pixel[0] * weights[k];
          g += pixel[1] * weights[k];
          b += pixel[2] * weights[k];
        }
        target[3 * x] = to_byte(r);
        target[3 * x + 1] = to_byte(g);
        target[3 * x + 2] = to_byte(b);
      }
    }
    rows = rows_.data();
    stride = row_bytes;
  }

  for (int y = 0; y < window.height; ++y) {
    uint8_t* target = out + y * row_bytes;
    if (same_height) {
      std::memcpy(target, rows + y * stride, static_cast<size_t>(row_bytes));
      continue;
    }
    const uint8_t* in = rows + (vertical_.first[static_cast<size_t>(y)] - first_row) * stride;
    const int32_t* weights = vertical_.weights.data() + static_cast<int64_t>(y) * vertical_.taps;
    // Row by row, so that the inner loop runs along memory.
    sums_.assign(static_cast<size_t>(row_bytes), kHalf);
    for (int k = 0; k < vertical_.count[static_cast<size_t>(y)]; ++k, in += stride) {
      const int32_t weight = weights[k];
      for (int64_t x = 0; x < row_bytes; ++x) sums_[static_cast<size_t>(x)] += in[x] * weight;
    }
    for (int64_t x = 0; x < row_bytes; ++x) target[x] = to_byte(sums_[static_cast<size_t>(x)]);
  }
}

}  // namespace sknet::data
