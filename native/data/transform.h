// From a decoded image to the floats of one batch slot: geometry, flip, normalisation. Or to bytes, and what is left to do with them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/picture.h"
#include "data/decode.h"
#include "data/effects.h"
#include "data/image.h"
#include "data/picture_arena.h"
#include "data/resize.h"

namespace sknet::data {

enum class Geometry { kPadCrop, kRandomResizedCrop, kResizeCrop };

// binding.d.ts, TransformOptions.
struct TransformOptions {
  int height = 0, width = 0;
  Geometry geometry = Geometry::kResizeCrop;
  int pad = 0;
  std::array<double, 2> area{1, 1}, aspect{1, 1};
  int resize = 0;
  Filter interpolation = Filter::kBilinear;
  bool dct_scale = false;
  double flip = 0;
  std::vector<Effect> effects;
  std::array<float, 3> mean{}, std{1, 1, 1};
};

// What the random numbers of one application depend on, and all they depend on.
struct SampleKey {
  uint64_t seed;
  uint32_t epoch, sample;
};

// Working memory of one thread.
struct TransformScratch {
  Resizer resizer;
  std::vector<uint8_t> pixels, effects;
  std::vector<int32_t> columns, rows;  // of a PictureAxis
};

class Transform {
 public:
  explicit Transform(const TransformOptions& options);

  const TransformOptions& options() const { return options_; }
  // What apply() is going to look at of a picture of this size.
  Part part(int width, int height, const SampleKey& key) const;
  // Writes [height, width, 3] floats (v / 255 - mean) / std. `image` holds at least the part that the same key asks for. Throws Error
  // ERR_SKNET_DATA when a padded image is smaller than the crop.
  void apply(const ImageView& image, const SampleKey& key, TransformScratch& scratch, float* out) const;
  // The same image as bytes in `arena`, with what makes these floats of them in `picture`. Without effects that is the whole geometry.
  // False where it is not, though there are no effects: the image was too large and is resized.
  bool hand_over(const ImageView& image, const SampleKey& key, TransformScratch& scratch, PictureArena& arena, Picture& picture) const;
  // What bytes are normalised to, [3][256].
  const float* table() const { return table_[0].data(); }

 private:
  // Of a crop's first pixel in the picture; negative where it pads.
  struct Offset {
    int top, left;
  };
  // A resize of the pixels from `data` on, of which a window is made that begins at (left, top) of the crop.
  struct Resize {
    const uint8_t* data;
    ResizeOptions options;
    int left, top;
  };

  bool flips(const SampleKey& key) const;
  Offset pad_crop_offset(const ImageView& image, const SampleKey& key) const;
  void pad_crop(const ImageView& image, const SampleKey& key, bool flip, float* out) const;
  // The picture with its effects, in the scratch.
  ImageView with_effects(const ImageView& image, const SampleKey& key, TransformScratch& scratch) const;
  Resize resize_of(const ImageView& image, const SampleKey& key) const;
  Resize random_resized_crop(const ImageView& image, const SampleKey& key) const;
  ResizeOptions resize_crop_options(int width, int height) const;
  Resize resize_crop(const ImageView& image) const;
  // The crop with its effects, in the scratch.
  uint8_t* finished_pixels(const Resize& resize, int64_t stride, const SampleKey& key, TransformScratch& scratch) const;
  // Changes `pixels` in place.
  void add_effects(const SampleKey& key, Pixels pixels, TransformScratch& scratch) const;
  void hand_over_padded(const ImageView& image, const SampleKey& key, PictureArena& arena, Picture& picture) const;
  // The part that the crop is made of, and the tables to do it with. False where they are too large.
  bool hand_over_part(const Resize& resize, int64_t stride, TransformScratch& scratch, PictureArena& arena, Picture& picture) const;
  // One row of `count` pixels to `out`, mirrored when `flip`.
  void normalise_row(const uint8_t* pixels, int count, bool flip, float* out) const;

  TransformOptions options_;
  std::array<std::array<float, 256>, 3> table_;  // byte -> float, per channel
};

}  // namespace sknet::data
