// dbias of a convolution: its output's gradient, summed over images and pixels.
#pragma once

#include "core/thread_pool.h"
#include "cpu/columns.h"

namespace sknet::cpu {
namespace {

template <class Read>
inline void bias_gradient(const PointSource<Read>& dy, int out, float* dbias, ThreadPool& pool) {
  const Grid& grid = dy.grid;
  parallel_for(pool, blocks_in(out, kLanes), [&](int64_t block, int) {
    const auto value = dy.read.prepare(static_cast<int>(block));
    WideSum total;
    for (int image = 0; image < grid.images; ++image) {
      Vec sum{};
      for (int pixel = 0; pixel < grid.pixels; ++pixel) sum += value(image * grid.image + block * grid.block + pixel * grid.pixel);
      total.add(sum);
    }
    double sums[kLanes];
    total.store_to(sums);
    for (int lane = 0; lane < min_of(kLanes, out - static_cast<int>(block) * kLanes); ++lane) {
      dbias[block * kLanes + lane] = static_cast<float>(sums[lane]);
    }
  });
}

}  // namespace
}  // namespace sknet::cpu
