// log, exp, sin and cos from additions and multiplications alone, so that random numbers are the same bits with every libm and CPU. Files
// that use it are compiled with -ffp-contract=off.
#pragma once

#include <cmath>

namespace sknet::data {

// Natural logarithm of x > 0, within 1e-15 of relative accuracy.
inline double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752440) {
    m *= 2;
    --exponent;
  }
  // log m = 2 artanh((m - 1) / (m + 1)), |s| <= 0.172.
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2 * s * sum;
}

// e to the x, within 1e-15 of relative accuracy; 0 where that vanishes.
inline double portable_exp(double x) {
  if (x < -708) return 0;
  const double halves = std::floor(x * 1.44269504088896340736 + 0.5);
  // log 2 in two parts, so that the difference is exact enough.
  const double r = (x - halves * 0.693147180369123816490) - halves * 1.90821492927058770002e-10;
  double sum = 1;
  for (int k = 18; k >= 1; --k) sum = 1 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(halves));
}

struct SinCos {
  double sin, cos;
};

// sin and cos of 2 pi turns, turns in [0, 1).
inline SinCos portable_sincos(double turns) {
  const int octant_pair = static_cast<int>(turns * 4 + 0.5);                           // nearest quarter turn
  const double t = (turns - octant_pair * 0.25) * 6.28318530717958647693, t2 = t * t;  // |t| <= pi / 4
  double s = 0, c = 0;
  for (int k = 17; k >= 3; k -= 2) s = (s + 1) * (-t2 / (k * (k - 1)));
  for (int k = 18; k >= 2; k -= 2) c = (c + 1) * (-t2 / (k * (k - 1)));
  s = t * (1 + s);
  c = 1 + c;
  switch (octant_pair & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace sknet::data
