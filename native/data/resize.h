// Antialiased resizing with Pillow's arithmetic: the filter is stretched by the scale, weights are 22-bit fixed point, the horizontal pass
// rounds to 8 bits before the vertical one (Pillow, src/libImaging/Resample.c). The same bytes as Image.resize for RGB.
#pragma once

#include <cstdint>
#include <vector>

#include "data/image.h"
#include "data/resize_rows.h"

namespace sknet::data {

enum class Filter { kBilinear, kBicubic };

// One axis of a resize, in the source's pixels.
struct Span {
  int size;           // pixels there are; what is outside them counts nothing
  double begin, end;  // what becomes the output, within them
};

struct ResizeOptions {
  Span horizontal, vertical;
  int x = 0, y = 0;   // of the source's pixels: where the memory given starts, when it holds a part of them only
  int width, height;  // output size
  Window window;      // of the output: what is made
  Filter filter;
};

// Keeps its working memory from call to call; one per thread.
class Resizer {
 public:
  Resizer() : kernels_(row_kernels()) {}
  // Writes the window of the resized picture, [window.height, window.width, 3], to `out`. `data` (rows `stride` bytes apart) starts at
  // pixel (x, y) of the source and holds at least what the window needs, see needed().
  void run(const uint8_t* data, int64_t stride, const ResizeOptions& options, uint8_t* out);

  // All of a whole picture.
  void run(const Image& image, int width, int height, Filter filter, uint8_t* out);

  // The source's pixels that outputs [first, first + count) of an axis are made of, as {first, count}.
  struct Needed {
    int first, count;
  };
  static Needed needed(const Span& span, int out_size, int first, int count, Filter filter);

  // The table of a PictureAxis (core/picture.h) of these outputs, where needed()'s pixels are stored; returns its taps. 0, and an empty
  // table, where the outputs are those pixels as they are.
  int table(const Span& span, int out_size, int first, int count, Filter filter, std::vector<int32_t>& to);

 private:
  // The vectors behind an AxisView.
  struct Axis {
    std::vector<int> first, count;
    std::vector<int32_t> weights;
    std::vector<int16_t> low, high;
    int taps = 0, padded = 0;
    AxisView view() const;
  };
  void fill_axis(const Span& span, int out_size, int first, int count, Filter filter, Axis& axis);

  const RowKernels& kernels_;
  Axis horizontal_, vertical_;
  std::vector<double> scratch_;
  std::vector<uint8_t> rows_;
};

}  // namespace sknet::data
