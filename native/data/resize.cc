#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sknet::data {

namespace {

double filter_value(Filter filter, double x) {
  x = std::fabs(x);
  if (filter == Filter::kBilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// How the outputs of an axis lie on its source.
struct Reach {
  Reach(const Span& span, int out_size, Filter filter)
      : span(span),
        scale((span.end - span.begin) / out_size),
        stretch(std::max(scale, 1.0)),
        support((filter == Filter::kBilinear ? 1.0 : 2.0) * stretch) {}
  double center(int i) const { return span.begin + (i + 0.5) * scale; }
  int first(double center) const { return std::max(static_cast<int>(center - support + 0.5), 0); }
  int end(double center) const { return std::min(static_cast<int>(center + support + 0.5), span.size); }

  const Span& span;
  const double scale, stretch, support;
};

bool stays(const Span& span, int out_size) { return span.begin == 0 && span.end == span.size && span.size == out_size; }

}  // namespace

Resizer::Needed Resizer::needed(const Span& span, int out_size, int first, int count, Filter filter) {
  if (stays(span, out_size)) return {first, count};
  const Reach reach(span, out_size, filter);
  const int begin = reach.first(reach.center(first));
  return {begin, reach.end(reach.center(first + count - 1)) - begin};
}

void Resizer::fill_axis(const Span& span, int out_size, int first_out, int count_out, Filter filter, Axis& axis) {
  const Reach reach(span, out_size, filter);
  axis.taps = static_cast<int>(std::ceil(reach.support)) * 2 + 1;
  axis.padded = (axis.taps + kTapGroup - 1) / kTapGroup * kTapGroup;
  const auto outputs = static_cast<size_t>(count_out), padded = static_cast<size_t>(axis.padded);
  axis.first.resize(outputs);
  axis.count.resize(outputs);
  axis.weights.assign(outputs * static_cast<size_t>(axis.taps), 0);
  axis.low.assign(outputs * padded, 0);
  axis.high.assign(outputs * padded, 0);
  scratch_.resize(static_cast<size_t>(axis.taps));
  for (int i = 0; i < count_out; ++i) {
    const double center = reach.center(first_out + i);
    const int first = reach.first(center), count = reach.end(center) - first;
    double total = 0;
    for (int k = 0; k < count; ++k) {
      scratch_[static_cast<size_t>(k)] = filter_value(filter, (k + first - center + 0.5) / reach.stretch);
      total += scratch_[static_cast<size_t>(k)];
    }
    axis.first[static_cast<size_t>(i)] = first;
    axis.count[static_cast<size_t>(i)] = count;
    for (int k = 0; k < count; ++k) {
      const double scaled = (total != 0 ? scratch_[static_cast<size_t>(k)] / total : 0) * (1 << kWeightBits);
      const auto weight = static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      axis.weights[static_cast<size_t>(i) * static_cast<size_t>(axis.taps) + static_cast<size_t>(k)] = weight;
      axis.low[static_cast<size_t>(i) * padded + static_cast<size_t>(k)] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
      axis.high[static_cast<size_t>(i) * padded + static_cast<size_t>(k)] = static_cast<int16_t>(weight >> kLowBits);
    }
  }
}

int Resizer::table(const Span& span, int out_size, int first, int count, Filter filter, std::vector<int32_t>& to) {
  to.clear();
  if (stays(span, out_size)) return 0;
  fill_axis(span, out_size, first, count, filter, horizontal_);
  const Axis& axis = horizontal_;
  const int begin = axis.first.front(), taps = *std::max_element(axis.count.begin(), axis.count.end());
  for (const int pixel : axis.first) to.push_back(pixel - begin);
  to.insert(to.end(), axis.count.begin(), axis.count.end());
  for (int i = 0; i < count; ++i) {
    const auto weights = axis.weights.begin() + static_cast<int64_t>(i) * axis.taps;
    to.insert(to.end(), weights, weights + taps);
  }
  return taps;
}

AxisView Resizer::Axis::view() const {
  return {static_cast<int>(first.size()), taps, padded, first.data(), count.data(), weights.data(), low.data(), high.data()};
}

void Resizer::run(const uint8_t* data, int64_t stride, const ResizeOptions& o, uint8_t* out) {
  const bool same_width = stays(o.horizontal, o.width), same_height = stays(o.vertical, o.height);
  const int64_t row_bytes = int64_t{3} * o.window.width;
  int first_row = o.window.y, end_row = o.window.y + o.window.height;
  if (!same_height) {
    fill_axis(o.vertical, o.height, o.window.y, o.window.height, o.filter, vertical_);
    first_row = vertical_.first.front();
    end_row = vertical_.first.back() + vertical_.count.back();
  }

  // Rows at their final width: the source's own, or the horizontal pass's result.
  const uint8_t* rows = data + (first_row - o.y) * stride;
  int64_t rows_stride = stride;
  if (same_width) {
    rows += int64_t{3} * (o.window.x - o.x);
  } else {
    fill_axis(o.horizontal, o.width, o.window.x, o.window.width, o.filter, horizontal_);
    for (int& first : horizontal_.first) first -= o.x;
    rows_.resize(static_cast<size_t>((end_row - first_row) * row_bytes));
    const int last_column = horizontal_.first.back() + horizontal_.count.back();
    kernels_.horizontal(rows, stride, end_row - first_row, last_column, horizontal_.view(), rows_.data());
    rows = rows_.data();
    rows_stride = row_bytes;
  }

  const AxisView vertical = vertical_.view();
  for (int y = 0; y < o.window.height; ++y) {
    uint8_t* target = out + y * row_bytes;
    if (same_height) {
      std::memcpy(target, rows + y * rows_stride, static_cast<size_t>(row_bytes));
    } else {
      kernels_.vertical(rows + (vertical_.first[static_cast<size_t>(y)] - first_row) * rows_stride, rows_stride, vertical, y, row_bytes,
                        target);
    }
  }
}

void Resizer::run(const Image& image, int width, int height, Filter filter, uint8_t* out) {
  const Span horizontal{image.width, 0, static_cast<double>(image.width)}, vertical{image.height, 0, static_cast<double>(image.height)};
  run(image.rgb.data(), int64_t{3} * image.width, {horizontal, vertical, 0, 0, width, height, {0, 0, width, height}, filter}, out);
}

}  // namespace sknet::data
