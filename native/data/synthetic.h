// The built-in data set: one textured shape a picture. The class is a shape and the scale of its texture; place, size, rotation, colours,
// background and noise are random, so a network has to look at fine and coarse structure at once.
#pragma once

#include <cstdint>
#include <memory>

#include "data/source.h"

namespace sknet::data {

constexpr int kMaxSyntheticClasses = 100;

// `count` pictures of size x size; picture i has label i % classes and depends on (seed, i, classes, size) only, bit for bit on every
// machine. classes 2..kMaxSyntheticClasses: shape label % 5 (disc, ring, square, triangle, cross), texture scale label / 5.
std::unique_ptr<Source> make_synthetic_source(int64_t count, int classes, int size, uint64_t seed);

}  // namespace sknet::data
