// A lane a pixel: it sums its bytes from the stored ones, the horizontal pass anew for each of its rows. Of a crop that is halved these are
// 5 x 5 bytes a channel, all from the cache; a buffer between two passes would cost more traffic than that.
#include "cuda/pictures.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"
#include "ops/layout.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;

// The stored pixels that pixel `i` of an axis is made of; without weights it is the first of them.
struct Taps {
  int first, count;
  const int32_t* weights;
};

__device__ __forceinline__ Taps taps_of(const PictureAxis& axis, const uint8_t* bytes, int i) {
  if (axis.taps == 0) return {axis.first + i, 1, nullptr};
  const int32_t* table = reinterpret_cast<const int32_t*>(bytes + axis.table);
  return {table[i], table[axis.count + i], table + 2 * axis.count + static_cast<int64_t>(i) * axis.taps};
}

__device__ __forceinline__ int to_byte(int32_t sum) { return min(max(sum >> kWeightBits, 0), 255); }

__device__ __forceinline__ void row_pixel(const uint8_t* row, const Taps& columns, int (&rgb)[3]) {
  const uint8_t* pixel = row + 3 * static_cast<int64_t>(columns.first);
  if (columns.weights == nullptr) {
    for (int c = 0; c < 3; ++c) rgb[c] = pixel[c];
    return;
  }
  int32_t sums[3] = {kWeightHalf, kWeightHalf, kWeightHalf};
  for (int k = 0; k < columns.count; ++k, pixel += 3) {
    for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * columns.weights[k];
  }
  for (int c = 0; c < 3; ++c) rgb[c] = to_byte(sums[c]);
}

// One pixel of the finished crop, before it is mixed.
__device__ __forceinline__ void finished(const Picture& p, const Pictures& batch, int width, int y, int x, float (&v)[3]) {
  const int i = y - p.y.at, j = (p.flip != 0 ? width - 1 - x : x) - p.x.at;
  if (i < 0 || i >= p.y.count || j < 0 || j >= p.x.count) {
    for (int c = 0; c < 3; ++c) v[c] = p.black != 0 ? batch.table[256 * c] : 0.0f;
    return;
  }
  const Taps rows = taps_of(p.y, batch.bytes, i), columns = taps_of(p.x, batch.bytes, j);
  const int64_t stride = 3 * static_cast<int64_t>(p.width);
  const uint8_t* row = batch.bytes + p.pixels + rows.first * stride;
  int rgb[3];
  if (rows.weights == nullptr) {
    row_pixel(row, columns, rgb);
  } else {
    int32_t sums[3] = {kWeightHalf, kWeightHalf, kWeightHalf};
    for (int k = 0; k < rows.count; ++k, row += stride) {
      row_pixel(row, columns, rgb);
      for (int c = 0; c < 3; ++c) sums[c] += rgb[c] * rows.weights[k];
    }
    for (int c = 0; c < 3; ++c) rgb[c] = to_byte(sums[c]);
  }
  for (int c = 0; c < 3; ++c) v[c] = batch.table[256 * c + rgb[c]];
}

template <class Elem>
__global__ void finish(Pictures batch, int64_t first, int64_t pixels, int height, int width, int padded, Elem* to) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (at >= pixels) return;
  const int64_t n = first + at / (static_cast<int64_t>(height) * width);
  const int y = static_cast<int>(at / width % height), x = static_cast<int>(at % width);
  const Picture& own = batch.pictures[n];
  float v[3], other[3];
  const bool cut = own.cut_left < own.cut_right && own.cut_top < own.cut_bottom;
  const bool inside = cut && x >= own.cut_left && x < own.cut_right && y >= own.cut_top && y < own.cut_bottom;
  finished(own.partner != 0 && inside ? batch.pictures[n + own.partner] : own, batch, width, y, x, v);
  if (own.partner != 0 && !cut) {
    finished(batch.pictures[n + own.partner], batch, width, y, x, other);
    // Rounded where native/data/mix.cc rounds.
    const float rest = 1 - own.share;
    for (int c = 0; c < 3; ++c) v[c] = __fadd_rn(__fmul_rn(own.share, v[c]), __fmul_rn(rest, other[c]));
  }
  for (int c = 0; c < padded; ++c) put(to + at * padded + c, c < 3 ? v[c] : 0.0f);
}

template <class Elem>
void finish_as(const Pictures& batch, int64_t first, int64_t pixels, int height, int width, int padded, void* to, void* stream) {
  SIMT_LAUNCH(finish<Elem>, static_cast<unsigned>((pixels + kLanes - 1) / kLanes), kLanes, 0, stream, batch, first, pixels, height, width,
              padded, static_cast<Elem*>(to));
}

}  // namespace

void pictures_in(const Pictures& batch, int64_t first, int64_t count, int height, int width, bool rows, const plan::BlockedLayout& layout,
                 void* to, void* stream) {
  const int64_t pixels = count * height * width;
  if (rows) return finish_as<float>(batch, first, pixels, height, width, 3, to, stream);
  const int padded = padded_channels(3, kRows);
  (layout.elem_bytes == 2 ? finish_as<bf16> : finish_as<float>)(batch, first, pixels, height, width, padded, to, stream);
}

}  // namespace sknet::cuda
