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

float mix_images(const MixOptions& options, const SampleKey& key, int height, int width, float* a, float* b) {
  PhiloxStream random(key.seed, key.epoch, key.sample, RandomPurpose::kMix);
  const bool second = random.uniform() < 0.5f;
  const bool cutmix = options.mixup == 0 || (options.cutmix > 0 && second);
  const double drawn = beta(random, cutmix ? options.cutmix : options.mixup);
  const int64_t row = int64_t{3} * width;
  if (!cutmix) {
    const auto share = static_cast<float>(drawn), rest = 1 - share;
    for (int64_t i = 0; i < height * row; ++i) {
      const float of_a = a[i], of_b = b[i];
      a[i] = share * of_a + rest * of_b;
      b[i] = share * of_b + rest * of_a;
    }
    return share;
  }
  const double side = std::sqrt(1 - drawn);
  const Range y = cut(random, height, side), x = cut(random, width, side);
  for (int64_t i = y.begin; i < y.end; ++i) std::swap_ranges(a + i * row + 3 * x.begin, a + i * row + 3 * x.end, b + i * row + 3 * x.begin);
  const double area = static_cast<double>(y.end - y.begin) * (x.end - x.begin);
  return static_cast<float>(1 - area / (static_cast<double>(height) * width));
}

}  // namespace sknet::data
