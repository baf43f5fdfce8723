// Random changes of a training picture after its crop: a list of effects, each with a range that its strength is drawn from.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/philox.h"
#include "data/pixels.h"

namespace sknet::data {

// binding.d.ts, Effect, says what each means by its range.
enum class EffectKind {
  kRotate,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kBrightness,
  kContrast,
  kSaturation,
  kHue,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutocontrast,
  kEqualize,
  kOffset,
  kColorJitter,
  kRandAugment,
};

struct Effect {
  EffectKind kind;
  double low = 0, high = 0;
  bool nearest = false;            // of what moves pixels
  std::array<uint8_t, 3> fill{};   // likewise: what comes in from outside
  std::array<double, 4> jitter{};  // color_jitter: brightness, contrast, saturation, hue
  int count = 0, magnitude = 0;    // rand_augment: effects a picture, and their strength of 0 to 30
};

// One after the other. `scratch` keeps its memory from call to call.
void apply_effects(std::span<const Effect> effects, PhiloxStream& random, Pixels pixels, std::vector<uint8_t>& scratch);

}  // namespace sknet::data
