#include "data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/philox.h"
#include "data/portable_math.h"

namespace sknet::data {

namespace {

constexpr int kShapes = 5;
// Stripe distance as a share of the picture's side: the finest and the coarsest texture.
constexpr float kFinest = 0.09f, kCoarsest = 0.28f;
constexpr int kNoiseCells = 5;

struct Point {
  float x, y;
};

struct Colour {
  std::array<float, 3> c;
};

// Signed distance to the edge of a shape of about unit radius; negative inside.
float distance(int shape, Point p) {
  const float radius = std::sqrt(p.x * p.x + p.y * p.y);
  const float ax = std::fabs(p.x), ay = std::fabs(p.y);
  switch (shape) {
    case 0:
      return radius - 0.9f;
    case 1:
      return std::fabs(radius - 0.7f) - 0.26f;
    case 2:
      return std::max(ax, ay) - 0.78f;
    case 3:
      return std::max(-p.y, 0.8660254f * ax + 0.5f * p.y) - 0.55f;
    default:
      return std::min(std::max(ax - 0.98f, ay - 0.29f), std::max(ay - 0.98f, ax - 0.29f));
  }
}

// A smooth wave of period 1 between -1 and 1.
float wave(float t) {
  const float f = t - std::floor(t), s = 1 - std::fabs(2 * f - 1);
  return 2 * s * s * (3 - 2 * s) - 1;
}

float between(PhiloxStream& random, float low, float high) { return low + (high - low) * random.uniform(); }

// A unit vector, `turns` of a full turn from the x axis, turns in [0, 1).
Point direction(float turns) {
  const SinCos angle = portable_sincos(turns);
  return {static_cast<float>(angle.cos), static_cast<float>(angle.sin)};
}

// A colour of about this brightness.
Colour colour(PhiloxStream& random, float level) {
  Colour result{};
  for (float& c : result.c) c = level + between(random, -0.12f, 0.12f);
  return result;
}

// One picture's drawing, everything random decided.
class Drawing {
 public:
  Drawing(int label, int classes, int size, PhiloxStream& random) : size_(static_cast<float>(size)), shape_(label % kShapes) {
    const int textures = (classes + kShapes - 1) / kShapes;
    const int texture = label / kShapes;
    const float step = textures > 1 ? static_cast<float>(texture) / static_cast<float>(textures - 1) : 0.5f;
    radius_ = size_ * between(random, 0.3f, 0.45f);
    const float reach = std::max(0.0f, size_ / 2 - 0.85f * radius_);
    centre_ = {size_ / 2 + reach * between(random, -1, 1), size_ / 2 + reach * between(random, -1, 1)};
    // Up to 30 degrees either way.
    const float tilt = between(random, -1 / 12.0f, 1 / 12.0f);
    turn_ = direction(tilt < 0 ? tilt + 1 : tilt);
    stripes_ = direction(random.uniform());
    wavelength_ = size_ * (kFinest + (kCoarsest - kFinest) * step * step) * between(random, 0.9f, 1.1f);
    phase_ = {random.uniform(), random.uniform()};
    checks_ = random.uniform() < 0.5f;
    const float ground_level = between(random, 0.15f, 0.4f);
    ground_ = colour(random, ground_level);
    figure_ = colour(random, ground_level + between(random, 0.35f, 0.5f));
    contrast_ = between(random, 0.14f, 0.24f);
    slope_ = direction(random.uniform());
    for (float& value : lattice_) value = between(random, -0.1f, 0.1f);
  }

  // Colour at the middle of pixel (x, y), before pixel noise.
  Colour at(int x, int y) const {
    const Point p{static_cast<float>(x) + 0.5f - centre_.x, static_cast<float>(y) + 0.5f - centre_.y};
    const Point turned{(p.x * turn_.x + p.y * turn_.y) / radius_, (p.y * turn_.x - p.x * turn_.y) / radius_};
    const float cover = std::clamp(0.5f - distance(shape_, turned) * radius_, 0.0f, 1.0f);
    const float ground_shift = ground_noise(x, y) + 0.1f * (p.x * slope_.x + p.y * slope_.y) / size_;
    const float figure_shift = cover > 0 ? contrast_ * texture(p) : 0;
    Colour result{};
    for (size_t c = 0; c < 3; ++c) {
      const float ground = ground_.c[c] + ground_shift, figure = figure_.c[c] + figure_shift;
      result.c[c] = ground + cover * (figure - ground);
    }
    return result;
  }

 private:
  float texture(Point p) const {
    const float u = (p.x * stripes_.x + p.y * stripes_.y) / wavelength_ + phase_.x;
    if (!checks_) return wave(u);
    return wave(u) * wave((p.y * stripes_.x - p.x * stripes_.y) / wavelength_ + phase_.y);
  }

  // Slow variation: a coarse lattice of random values, interpolated.
  float ground_noise(int x, int y) const {
    const float scale = (kNoiseCells - 1) / size_;
    const float u = (static_cast<float>(x) + 0.5f) * scale, v = (static_cast<float>(y) + 0.5f) * scale;
    const int i = static_cast<int>(u), j = static_cast<int>(v);
    const float du = u - static_cast<float>(i), dv = v - static_cast<float>(j);
    const float* cell = lattice_.data() + j * kNoiseCells + i;
    const float top = cell[0] + du * (cell[1] - cell[0]);
    const float bottom = cell[kNoiseCells] + du * (cell[kNoiseCells + 1] - cell[kNoiseCells]);
    return top + dv * (bottom - top);
  }

  const float size_;
  const int shape_;
  float radius_, wavelength_, contrast_;
  Point centre_, turn_, stripes_, phase_, slope_;
  bool checks_;
  Colour ground_, figure_;
  std::array<float, kNoiseCells * kNoiseCells> lattice_;
};

class SyntheticSource final : public Source {
 public:
  SyntheticSource(int64_t count, int classes, int size, uint64_t seed) : count_(count), classes_(classes), size_(size), seed_(seed) {}

  int64_t size() const override { return count_; }
  int32_t label(int64_t index) const override { return static_cast<int32_t>(index % classes_); }
  std::string path(int64_t index) const override { return "synthetic image " + std::to_string(index); }
  StoredImage read(int64_t index, std::vector<uint8_t>& buffer) const override {
    PhiloxStream random(seed_, 0, static_cast<uint32_t>(index), RandomPurpose::kSynthetic);
    const Drawing drawing(label(index), classes_, size_, random);
    buffer.resize(static_cast<size_t>(size_) * static_cast<size_t>(size_) * 3);
    uint8_t* target = buffer.data();
    for (int y = 0; y < size_; ++y) {
      for (int x = 0; x < size_; ++x) {
        const Colour colour = drawing.at(x, y);
        // One number a pixel: four of its bytes make the noise, a common part and one for each channel.
        const uint32_t bits = random.next_u32();
        const float common = static_cast<float>(bits >> 24) / 255.0f - 0.5f;
        for (int c = 0; c < 3; ++c) {
          const float own = static_cast<float>((bits >> (8 * c)) & 255) / 255.0f - 0.5f;
          const float value = colour.c[static_cast<size_t>(c)] + 0.08f * common + 0.05f * own;
          *target++ = static_cast<uint8_t>(std::clamp(value * 255.0f + 0.5f, 0.0f, 255.0f));
        }
      }
    }
    return {buffer, size_, size_};
  }

 private:
  const int64_t count_;
  const int classes_, size_;
  const uint64_t seed_;
};

}  // namespace

std::unique_ptr<Source> make_synthetic_source(int64_t count, int classes, int size, uint64_t seed) {
  check(classes >= 2 && classes <= kMaxSyntheticClasses, "ERR_SKNET_NATIVE", "classes must be from 2 to 100");
  check(count >= 1 && size >= 1, "ERR_SKNET_NATIVE", "count and size must be at least 1");
  return std::make_unique<SyntheticSource>(count, classes, size, seed);
}

}  // namespace sknet::data
