#include "plan/weigh.h"

#include <cstdio>

namespace sknet::plan {

namespace {

std::optional<double> sum(std::initializer_list<std::optional<double>> seconds) {
  double all = 0;
  for (const std::optional<double>& each : seconds) {
    if (!each) return std::nullopt;
    all += *each;
  }
  return all;
}

}  // namespace

Weighing weigh(const char* what, std::initializer_list<std::optional<double>> passing, std::initializer_list<std::optional<double>> apart) {
  const std::optional<double> one = sum(passing), other = sum(apart);
  if (!one || !other) return {};
  const bool faster = *other < *one;
  char note[160];
  std::snprintf(note, sizeof(note), "%s %s: %.4f ms, %s %.4f ms", what, faster ? "in a pass of its own" : "in passing",
                1e3 * (faster ? *other : *one), faster ? "in passing" : "in a pass of its own", 1e3 * (faster ? *one : *other));
  return {faster, note};
}

}  // namespace sknet::plan
