// conv2d's candidate "stem": 7x7, stride 2, from rows of the network's input.
#include "cuda/conv2d_stem.h"

#include "cuda/selftest/conv2d.h"

namespace sknet::cuda::test {
namespace {

// Of more than a tile of outputs, of more than are multiplied at a time, of images that end within a block, of channels that fill no tile.
const Geometry kStems[] = {{2, 17, 18, 3, 64, 7, 2, 3, 1, 1},
                           {1, 1, 1, 3, 8, 7, 2, 3, 1, 1},
                           {3, 19, 45, 3, 70, 7, 2, 3, 1, 1},
                           {1, 9, 250, 3, 24, 7, 2, 3, 1, 1},
                           {270, 7, 9, 3, 8, 7, 2, 1, 1, 1}};

SIMT_TEST(stem_forward) {
  for (const Geometry& g : kStems) {
    const bool several = g.h > 1;
    check_forward<bf16>(conv2d_forward_stem_bf16, g, {.x_rows = true, .statistics = several}, false);
    check_forward<bf16>(conv2d_forward_stem_bf16, g, {.x_rows = true, .statistics = several}, true);
    check_forward<bf16>(conv2d_forward_stem_bf16, g, {.x_rows = true}, true);
    check_forward<bf16>(conv2d_forward_stem_bf16, g, {.x_rows = true, .y_norm = true}, true);
  }
}

SIMT_TEST(stem_backward_weight) {
  for (const Geometry& g : kStems) {
    check_backward_weight<bf16>(conv2d_backward_weight_stem_bf16, g, {.x_rows = true}, true);
    check_backward_weight<bf16>(conv2d_backward_weight_stem_bf16, g, {.x_rows = true, .dy_norm = true}, false);
  }
}

SIMT_TEST(stem_refuses) {
  const auto expect_refused = [](const Geometry& g, const Conv2dFusion& fusion) {
    simt_test::expect(conv2d_forward_stem_bf16.refuse(g.problem(fusion)) != nullptr, "accepts " + describe(g.problem(fusion)));
  };
  expect_refused({1, 9, 9, 3, 8, 7, 2, 3, 1, 1}, {});
  expect_refused({1, 9, 9, 3, 8, 3, 2, 1, 1, 1}, {.x_rows = true});
  expect_refused({1, 9, 9, 4, 8, 7, 2, 3, 1, 1}, {.x_rows = true});
  expect_refused({1, 9, 500, 3, 8, 7, 2, 3, 1, 1}, {.x_rows = true});
}

}  // namespace
}  // namespace sknet::cuda::test
