// A batch of bytes: pixels as they were decoded, or resized already, and of each image what is left to do until the network can read it:
// resize, place in the crop, flip, normalise, mix. native/data writes it, native/cuda does the rest, with the same numbers as native/data
// has where it goes on to floats. Plain data, which crosses the border to the plugins as it is (plugin/api.h).
#pragma once

#include <cstdint>

namespace sknet {

// Weights of a resize are fixed point (native/data/resize.h): a byte is the sum of pixels times weights, plus a half, shifted down.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr int32_t kWeightHalf = 1 << (kWeightBits - 1);

// One axis of an image, in pixels. The crop's pixels [at, at + count) are made of the stored ones, the others are filled.
struct PictureAxis {
  int32_t at, count;
  // 0: pixel at + i is the stored pixel first + i. Else at most so many stored ones are summed for each, by the table at `table` of the
  // batch's bytes, int32: the first stored pixel [count], how many [count], their weights [count, taps].
  int32_t taps;
  int32_t first;
  int64_t table;
};

struct Picture {
  int64_t pixels;  // where in the batch's bytes: rows of RGB, 8 bits, without gaps
  int32_t width;   // pixels of a stored row
  int32_t flip;    // 1: the crop is mirrored when all else is done
  int32_t black;   // what is filled: 1 with black, 0 with the mean colour, which is 0 once normalised
  // 1, -1: the image behind or before this one has a share in it; 0: none has.
  int32_t partner;
  // Mixup: own pixels count `share`, the partner's the rest. Where the rectangle is not empty instead, its pixels are the partner's.
  float share;
  int32_t cut_left, cut_top, cut_right, cut_bottom;
  PictureAxis x, y;
};

// Of a whole batch.
struct Pictures {
  const Picture* pictures;  // [count]
  const uint8_t* bytes;     // 16-byte aligned
  int64_t size;             // of them
  const float* table;       // [3][256]: what a channel's byte is normalised to
};

constexpr int kPictureTable = 3 * 256;

// What a picture or a table takes of a batch's bytes.
constexpr int64_t picture_bytes(int64_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace sknet
