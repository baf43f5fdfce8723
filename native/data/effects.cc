#include "data/effects.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/warp.h"

namespace sknet::data {

namespace {

double between(PhiloxStream& random, double low, double high) { return low + (high - low) * random.uniform(); }

void move(const Effect& effect, const AffineMap& map, Pixels pixels, std::vector<uint8_t>& scratch) {
  warp(pixels, {map, effect.nearest, effect.fill}, scratch);
}

// An effect of one picture, its strength known.
void apply(const Effect& effect, double strength, PhiloxStream& random, Pixels pixels, std::vector<uint8_t>& scratch) {
  const auto factor = static_cast<float>(strength);
  switch (effect.kind) {
    case EffectKind::kRotate:
      return move(effect, rotation_map(strength / 360, pixels.width, pixels.height), pixels, scratch);
    case EffectKind::kShearX:
      return move(effect, {1, strength, 0, 0, 1, 0}, pixels, scratch);
    case EffectKind::kShearY:
      return move(effect, {1, 0, 0, strength, 1, 0}, pixels, scratch);
    case EffectKind::kTranslateX:
      return move(effect, {1, 0, -std::trunc(strength * pixels.width), 0, 1, 0}, pixels, scratch);
    case EffectKind::kTranslateY:
      return move(effect, {1, 0, 0, 0, 1, -std::trunc(strength * pixels.height)}, pixels, scratch);
    case EffectKind::kBrightness:
      return adjust_brightness(pixels, factor);
    case EffectKind::kContrast:
      return adjust_contrast(pixels, factor);
    case EffectKind::kSaturation:
      return adjust_saturation(pixels, factor);
    case EffectKind::kHue:
      return adjust_hue(pixels, strength);
    case EffectKind::kSharpness:
      return adjust_sharpness(pixels, factor, scratch);
    case EffectKind::kPosterize:
      return posterize(pixels, std::clamp(static_cast<int>(strength), 1, 8));
    case EffectKind::kSolarize:
      return solarize(pixels, strength);
    case EffectKind::kAutocontrast:
      return autocontrast(pixels);
    case EffectKind::kEqualize:
      return equalize(pixels);
    case EffectKind::kOffset: {
      std::array<int, 3> offsets{};
      for (int& offset : offsets) offset = static_cast<int>(std::lround(between(random, effect.low, effect.high)));
      return add_offsets(pixels, offsets);
    }
    case EffectKind::kColorJitter:
    case EffectKind::kRandAugment:
      return;
  }
}

// torchvision's ColorJitter: each in its range, in random order.
void color_jitter(const Effect& effect, PhiloxStream& random, Pixels pixels, std::vector<uint8_t>& scratch) {
  std::array<std::pair<EffectKind, double>, 4> steps = {{{EffectKind::kBrightness, effect.jitter[0]},
                                                         {EffectKind::kContrast, effect.jitter[1]},
                                                         {EffectKind::kSaturation, effect.jitter[2]},
                                                         {EffectKind::kHue, effect.jitter[3]}}};
  for (size_t i = steps.size(); i > 1; --i) std::swap(steps[i - 1], steps[random.below(static_cast<uint32_t>(i))]);
  for (const auto& [kind, range] : steps) {
    const double u = random.uniform();
    if (range == 0) continue;
    const double low = kind == EffectKind::kHue ? -range : std::max(0.0, 1 - range), high = kind == EffectKind::kHue ? range : 1 + range;
    apply({kind}, low + (high - low) * u, random, pixels, scratch);
  }
}

// torchvision's RandAugment with its 31 magnitudes: what is drawn, how strong it is at the greatest one, and around which value it is
// strong in both directions.
struct RandAugmentStep {
  EffectKind kind;
  double rest, most;
  bool both_ways;
};
constexpr int kMagnitudes = 30;
constexpr double kMostMove = 150.0 / 331;
constexpr std::array kRandAugmentSteps = {
    RandAugmentStep{EffectKind::kBrightness, 1, 0, false},  // the identity
    RandAugmentStep{EffectKind::kShearX, 0, 0.3, true},
    RandAugmentStep{EffectKind::kShearY, 0, 0.3, true},
    RandAugmentStep{EffectKind::kTranslateX, 0, kMostMove, true},
    RandAugmentStep{EffectKind::kTranslateY, 0, kMostMove, true},
    RandAugmentStep{EffectKind::kRotate, 0, 30, true},
    RandAugmentStep{EffectKind::kBrightness, 1, 0.9, true},
    RandAugmentStep{EffectKind::kSaturation, 1, 0.9, true},
    RandAugmentStep{EffectKind::kContrast, 1, 0.9, true},
    RandAugmentStep{EffectKind::kSharpness, 1, 0.9, true},
    RandAugmentStep{EffectKind::kPosterize, 8, -4, false},
    RandAugmentStep{EffectKind::kSolarize, 255, -255, false},
    RandAugmentStep{EffectKind::kAutocontrast, 0, 0, false},
    RandAugmentStep{EffectKind::kEqualize, 0, 0, false},
};

void rand_augment(const Effect& effect, PhiloxStream& random, Pixels pixels, std::vector<uint8_t>& scratch) {
  for (int i = 0; i < effect.count; ++i) {
    const RandAugmentStep& step = kRandAugmentSteps[random.below(kRandAugmentSteps.size())];
    const bool negative = random.uniform() < 0.5f && step.both_ways;
    double change = step.most * effect.magnitude / kMagnitudes;
    if (step.kind == EffectKind::kPosterize) change = std::nearbyint(change);
    Effect one = effect;
    one.kind = step.kind;
    apply(one, step.rest + (negative ? -change : change), random, pixels, scratch);
  }
}

}  // namespace

void apply_effects(std::span<const Effect> effects, PhiloxStream& random, Pixels pixels, std::vector<uint8_t>& scratch) {
  for (const Effect& effect : effects) {
    if (effect.kind == EffectKind::kColorJitter) {
      color_jitter(effect, random, pixels, scratch);
    } else if (effect.kind == EffectKind::kRandAugment) {
      rand_augment(effect, random, pixels, scratch);
    } else if (effect.kind == EffectKind::kOffset) {
      apply(effect, 0, random, pixels, scratch);
    } else {
      apply(effect, between(random, effect.low, effect.high), random, pixels, scratch);
    }
  }
}

}  // namespace sknet::data
