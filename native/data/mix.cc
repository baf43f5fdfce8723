#include "data/mix.h"

#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "data/portable_math.h"

namespace sknet::data {

namespace {

// (0, 1), so that its logarithm is finite.
double open_uniform(PhiloxStream& random) { return (static_cast<double>(random.next_u32()) + 0.5) * 0x1p-32; }

double normal(PhiloxStream& random) {
  const double radius = std::sqrt(-2 * portable_log(open_uniform(random)));
  return radius * portable_sincos(random.uniform()).cos;
}

// Gamma(a), a >= 1 (Marsaglia and Tsang, 2000).
double gamma(PhiloxStream& random, double a) {
  const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(random), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (portable_log(open_uniform(random)) < 0.5 * x * x + d - d * v + d * portable_log(v)) return d * v;
  }
}

// Beta(a, a): for small a Jöhnk's method, in logarithms where powers would vanish.
double beta(PhiloxStream& random, double a) {
  if (a > 1) {
    const double x = gamma(random, a), y = gamma(random, a);
    return x / (x + y);
  }
  for (;;) {
    const double log_x = portable_log(open_uniform(random)) / a, log_y = portable_log(open_uniform(random)) / a;
    const double x = portable_exp(log_x), y = portable_exp(log_y);
    if (x + y > 1) continue;
    return 1 / (1 + portable_exp(log_y - log_x));
  }
}

// The side of a rectangle around a random middle, cut off at the image's edge.
struct Range {
  int begin, end;
};
Range cut(PhiloxStream& random, int size, double share) {
  const int length = static_cast<int>(size * share), middle = static_cast<int>(random.below(static_cast<uint32_t>(size)));
  return {std::clamp(middle - length / 2, 0, size), std::clamp(middle - length / 2 + length, 0, size)};
}

}  // namespace

Mix draw_mix(const MixOptions& options, const SampleKey& key, int height, int width) {
  PhiloxStream random(key.seed, key.epoch, key.sample, RandomPurpose::kMix);
  const bool second = random.uniform() < 0.5f;
  const bool cutmix = options.mixup == 0 || (options.cutmix > 0 && second);
  const double drawn = beta(random, cutmix ? options.cutmix : options.mixup);
  if (!cutmix) return {false, static_cast<float>(drawn), 0, 0, 0, 0};
  const double side = std::sqrt(1 - drawn);
  const Range y = cut(random, height, side), x = cut(random, width, side);
  const double area = static_cast<double>(y.end - y.begin) * (x.end - x.begin);
  const auto share = static_cast<float>(1 - area / (static_cast<double>(height) * width));
  return {true, share, x.begin, y.begin, x.end, y.end};
}

void mix_images(const Mix& mix, int height, int width, float* a, float* b) {
  const int64_t row = int64_t{3} * width;
  if (!mix.cutmix) {
    const float share = mix.share, rest = 1 - share;
    for (int64_t i = 0; i < height * row; ++i) {
      const float of_a = a[i], of_b = b[i];
      a[i] = share * of_a + rest * of_b;
      b[i] = share * of_b + rest * of_a;
    }
    return;
  }
  for (int64_t i = mix.top; i < mix.bottom; ++i) {
    std::swap_ranges(a + i * row + 3 * mix.left, a + i * row + 3 * mix.right, b + i * row + 3 * mix.left);
  }
}

void mix_pictures(const Mix& mix, Picture& a, Picture& b) {
  if (mix.cutmix && (mix.left >= mix.right || mix.top >= mix.bottom)) return;
  for (Picture* picture : {&a, &b}) {
    picture->partner = picture == &a ? 1 : -1;
    picture->share = mix.share;
    picture->cut_left = mix.left;
    picture->cut_top = mix.top;
    picture->cut_right = mix.right;
    picture->cut_bottom = mix.bottom;
  }
}

}  // namespace sknet::data
