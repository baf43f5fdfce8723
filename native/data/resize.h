// Antialiased resizing with Pillow's arithmetic: the filter is stretched by the scale, weights are 22-bit fixed point, the horizontal pass
// rounds to 8 bits before the vertical one (Pillow, src/libImaging/Resample.c). The same bytes as Image.resize for RGB.
#pragma once

#include <cstdint>
#include <vector>

namespace sknet::data {

enum class Filter { kBilinear, kBicubic };

// A rectangle of RGB pixels somewhere in memory.
struct ImageView {
  const uint8_t* data;
  int width, height;
  int64_t stride;  // bytes from row to row
};

struct Window {
  int x, y, width, height;
};

// Keeps its working memory from call to call; one per thread.
class Resizer {
 public:
  // Resizes `source` to width x height and writes the window of that result, [window.height, window.width, 3], to `out`. Pixels outside
  // `source` are never looked at.
  void run(const ImageView& source, int width, int height, const Window& window, Filter filter, uint8_t* out);

 private:
  // For each output pixel of an axis: which input pixels it reads, and their weights.
  struct Axis {
    std::vector<int> first, count;
    std::vector<int32_t> weights;  // taps a pixel
    int taps = 0;
  };
  static void fill_axis(int in_size, int out_size, int window_start, int window_size, Filter filter, std::vector<double>& scratch,
                        Axis& axis);

  Axis horizontal_, vertical_;
  std::vector<double> scratch_;
  std::vector<uint8_t> rows_;
  std::vector<int32_t> sums_;
};

}  // namespace sknet::data
