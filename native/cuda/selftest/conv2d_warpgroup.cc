// conv2d's candidate "warpgroup": what "gemm" does, with more than one step of 64 summed numbers, tiles of 64 and 128 columns, and rests.
#include "cuda/conv2d_warpgroup.h"

#include "cuda/selftest/conv2d.h"
#include "cuda/warpgroups.h"

namespace sknet::cuda::test {
namespace {

const Conv2dCandidates kCandidates{conv2d_forward_warpgroup_bf16, conv2d_backward_data_warpgroup_bf16,
                                   conv2d_backward_weight_warpgroup_bf16};

const Geometry kPointwise[] = {
    {1, 1, 1, 64, 64, 1, 1, 0, 1, 1},   {1, 7, 7, 40, 33, 1, 1, 0, 1, 1},    {3, 10, 9, 65, 130, 1, 1, 0, 1, 1},
    {2, 8, 6, 64, 136, 1, 2, 0, 1, 1},  {2, 12, 13, 200, 72, 1, 1, 0, 1, 1}, {1, 3, 3, 36, 70, 1, 1, 1, 1, 1},
    {9, 12, 12, 40, 48, 1, 1, 0, 1, 1},  // pixels enough for several chunks of the weights' gradient
};
const Geometry kWindows[] = {{2, 9, 7, 40, 72, 3, 1, 1, 1, 1}, {1, 11, 10, 72, 66, 3, 2, 3, 4, 1}, {1, 12, 12, 34, 140, 3, 3, 1, 2, 1}};

template <size_t kCount>
void check_all(const Geometry (&all)[kCount]) {
  int number = 0;
  for (const Geometry& geometry : all) check_conv2d<bf16>(kCandidates, geometry, ++number);
}

// Where the trial fails the candidates refuse everything, and the tests below would have nothing to check.
SIMT_TEST(warpgroup_trial) {
  const char* reason = warpgroups_refused();
  simt_test::expect(reason == nullptr, reason == nullptr ? "" : reason);
}

SIMT_TEST(warpgroup_pointwise) { check_all(kPointwise); }
SIMT_TEST(warpgroup_windows) { check_all(kWindows); }

SIMT_TEST(warpgroup_selected) {
  for (const Geometry& geometry : kPointwise) check_selected<bf16>(kCandidates, geometry);
}

SIMT_TEST(warpgroup_refuses) {
  const auto expect_refused = [](const auto& candidate, const Geometry& g, const Conv2dFusion& fusion) {
    simt_test::expect(candidate.refuse(g.problem(fusion)) != nullptr, "accepts " + describe(g.problem(fusion)));
  };
  const Geometry grouped{1, 4, 4, 64, 64, 3, 1, 1, 1, 2}, dense{1, 4, 4, 64, 64, 1, 1, 0, 1, 1}, thin{1, 4, 4, 32, 32, 1, 1, 0, 1, 1};
  expect_refused(conv2d_forward_warpgroup_bf16, grouped, {});
  expect_refused(conv2d_forward_warpgroup_bf16, thin, {});
  expect_refused(conv2d_backward_data_warpgroup_bf16, thin, {});
  expect_refused(conv2d_forward_warpgroup_bf16, dense, {.x_rows = true});
  expect_refused(conv2d_backward_data_warpgroup_bf16, dense, {.dy_norm = true});
  expect_refused(conv2d_backward_weight_warpgroup_bf16, dense, {.dy_norm = true});
  expect_refused(conv2d_forward_warpgroup_bf16, dense, {.x_branches = 3});
  expect_refused(conv2d_backward_weight_warpgroup_bf16, dense, {.x_branches = 3});
}

}  // namespace
}  // namespace sknet::cuda::test
