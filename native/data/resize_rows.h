// The two passes of a resize, in the instruction sets there are. All give the same bytes: integers, and sums modulo 2^32 that never
// overflow as a whole.
#pragma once

#include <cstdint>

#include "core/picture.h"

namespace sknet::data {

// Weights are also kept in two halves, weight = high * 2^15 + low, in pairs of neighbouring taps as multiply-add instructions of 16 bits
// take them.
constexpr int kLowBits = 15;
constexpr int kTapGroup = 4;  // the halves' taps are padded to a multiple of it; missing ones weigh nothing

// For each output pixel of an axis: which input pixels it reads, and their weights. Plain memory, as the kernels may use nothing inline.
struct AxisView {
  int outputs, taps, padded;
  const int *first, *count;   // [outputs]
  const int32_t* weights;     // [outputs, taps]
  const int16_t *low, *high;  // [outputs, padded]
};

struct RowKernels {
  // `rows` rows of RGB pixels, `stride` bytes apart and at least `columns` pixels each, to rows of the axis's outputs, close together.
  // Nothing behind the last row's columns is read.
  void (*horizontal)(const uint8_t* in, int64_t stride, int rows, int columns, const AxisView& axis, uint8_t* out);
  // The weighted sum of rows of `bytes` bytes, `stride` bytes apart, with the weights of one output of the axis; `in` is its first row.
  void (*vertical)(const uint8_t* in, int64_t stride, const AxisView& axis, int output, int64_t bytes, uint8_t* out);
};

// Those of the instruction set in use (core/cpu_features.h).
const RowKernels& row_kernels();

extern const RowKernels kRowKernelsPortable, kRowKernelsAvx2;

}  // namespace sknet::data
