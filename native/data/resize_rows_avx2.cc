// Compiled with AVX2, so nothing inline from headers may be used here: the linker could take this copy of it for all (native/cpu/simd.h).
#include "data/resize_rows.h"

#if defined(__AVX2__)

#include <immintrin.h>

namespace sknet::data {

namespace {

// Two sums of 32 bits: those of the low and of the high halves of the weights.
struct Sums {
  __m256i low, high;
};

inline __m256i to_32_bits(const Sums& sums) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(sums.high, kLowBits), sums.low);
  return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kWeightHalf)), kWeightBits);
}

inline void add(Sums& sums, __m256i pixels, __m256i low, __m256i high) {
  sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(pixels, low));
  sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(pixels, high));
}

inline int32_t load_pair(const int16_t* weights) {
  int32_t pair;
  __builtin_memcpy(&pair, weights, sizeof(pair));
  return pair;
}

// One output pixel of two rows, one in each half of a register: R, G, B in bytes 0 to 2 and 16 to 18 of the result.
inline __m256i pixel_of_two_rows(const uint8_t* row0, const uint8_t* row1, const int16_t* low, const int16_t* high, int count) {
  // Taps 0 and 1, and taps 2 and 3, of four RGB pixels: each channel's two bytes side by side, as 16 bits.
  const __m256i first_taps = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
  const __m256i last_taps = _mm256_broadcastsi128_si256(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
  Sums sums = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int k = 0; k < count; k += kTapGroup) {
    const __m128i pixels0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row0 + 3 * k));
    const __m128i pixels1 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row1 + 3 * k));
    const __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(pixels0), pixels1, 1);
    add(sums, _mm256_shuffle_epi8(pixels, first_taps), _mm256_set1_epi32(load_pair(low + k)), _mm256_set1_epi32(load_pair(high + k)));
    add(sums, _mm256_shuffle_epi8(pixels, last_taps), _mm256_set1_epi32(load_pair(low + k + 2)),
        _mm256_set1_epi32(load_pair(high + k + 2)));
  }
  const __m256i words = _mm256_packs_epi32(to_32_bits(sums), _mm256_setzero_si256());
  return _mm256_packus_epi16(words, words);
}

inline void store_pixel(uint8_t* out, int32_t rgb) {
  out[0] = static_cast<uint8_t>(rgb);
  out[1] = static_cast<uint8_t>(rgb >> 8);
  out[2] = static_cast<uint8_t>(rgb >> 16);
}

// The same without vectors, for where 16 bytes cannot be loaded.
void pixel_of_one_row(const uint8_t* pixel, const int32_t* weights, int count, uint8_t* out) {
  int32_t sums[3] = {kWeightHalf, kWeightHalf, kWeightHalf};
  for (int k = 0; k < count; ++k, pixel += 3) {
    for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * weights[k];
  }
  for (int c = 0; c < 3; ++c) {
    const int32_t value = sums[c] >> kWeightBits;
    out[c] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

void horizontal(const uint8_t* in, int64_t stride, int rows, int columns, const AxisView& axis, uint8_t* out) {
  // What is loaded may reach behind the end of a row: into the next one, but for the last row.
  const int64_t row_bytes = int64_t{3} * columns;
  for (int y = 0; y < rows; y += 2) {
    const bool alone = y + 1 == rows, last = y + 2 >= rows;
    const uint8_t* row0 = in + y * stride;
    const uint8_t* row1 = alone ? row0 : row0 + stride;
    uint8_t* out0 = out + int64_t{3} * y * axis.outputs;
    uint8_t* out1 = alone ? out0 : out0 + int64_t{3} * axis.outputs;
    for (int x = 0; x < axis.outputs; ++x, out0 += 3, out1 += 3) {
      const int64_t offset = int64_t{3} * axis.first[x], at = static_cast<int64_t>(x) * axis.padded;
      const int count = axis.count[x];
      const int64_t last_load = offset + int64_t{3} * kTapGroup * ((count - 1) / kTapGroup);
      if (last && last_load + 16 > row_bytes) {
        const int32_t* weights = axis.weights + static_cast<int64_t>(x) * axis.taps;
        pixel_of_one_row(row0 + offset, weights, count, out0);
        pixel_of_one_row(row1 + offset, weights, count, out1);
        continue;
      }
      const __m256i pixel = pixel_of_two_rows(row0 + offset, row1 + offset, axis.low + at, axis.high + at, count);
      store_pixel(out0, _mm_cvtsi128_si32(_mm256_castsi256_si128(pixel)));
      store_pixel(out1, _mm_cvtsi128_si32(_mm256_extracti128_si256(pixel, 1)));
    }
  }
}

void vertical(const uint8_t* in, int64_t stride, const AxisView& axis, int output, int64_t bytes, uint8_t* out) {
  const int count = axis.count[output];
  const int16_t* low = axis.low + static_cast<int64_t>(output) * axis.padded;
  const int16_t* high = axis.high + static_cast<int64_t>(output) * axis.padded;
  int64_t x = 0;
  for (; x + 16 <= bytes; x += 16) {
    Sums left = {_mm256_setzero_si256(), _mm256_setzero_si256()}, right = left;
    const uint8_t* row = in + x;
    for (int k = 0; k < count; k += 2, row += 2 * stride) {
      // An odd tap out has a weight of 0 beside it; its row may not be there.
      const uint8_t* next = k + 1 < count ? row + stride : row;
      const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
      const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(next)));
      const __m256i low_pair = _mm256_set1_epi32(load_pair(low + k)), high_pair = _mm256_set1_epi32(load_pair(high + k));
      add(left, _mm256_unpacklo_epi16(a, b), low_pair, high_pair);
      add(right, _mm256_unpackhi_epi16(a, b), low_pair, high_pair);
    }
    const __m256i words = _mm256_packs_epi32(to_32_bits(left), to_32_bits(right));
    const __m128i result = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + x), result);
  }
  const int32_t* weights = axis.weights + static_cast<int64_t>(output) * axis.taps;
  for (; x < bytes; ++x) {
    int32_t sum = kWeightHalf;
    for (int k = 0; k < count; ++k) sum += in[k * stride + x] * weights[k];
    const int32_t value = sum >> kWeightBits;
    out[x] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

}  // namespace

extern const RowKernels kRowKernelsAvx2 = {horizontal, vertical};

}  // namespace sknet::data

#endif
