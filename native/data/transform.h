// From a decoded image to the floats of one batch slot: geometry, flip, normalisation.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/decode.h"
#include "data/effects.h"
#include "data/image.h"
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

 private:
  void pad_crop(const ImageView& image, const SampleKey& key, bool flip, float* out) const;
  void random_resized_crop(const ImageView& image, const SampleKey& key, uint8_t* pixels, Resizer& resizer) const;
  // Changes `pixels` in place.
  void add_effects(const SampleKey& key, Pixels pixels, TransformScratch& scratch) const;
  ResizeOptions resize_crop_options(int width, int height) const;
  void resize_crop(const ImageView& image, uint8_t* pixels, Resizer& resizer) const;
  // One row of `count` pixels to `out`, mirrored when `flip`.
  void normalise_row(const uint8_t* pixels, int count, bool flip, float* out) const;

  TransformOptions options_;
  std::array<std::array<float, 256>, 3> table_;  // byte -> float, per channel
};

}  // namespace sknet::data
