// conv2d's candidate "gemm": dense convolutions, linear layers, the stem from rows of the network's input.
#include "cuda/conv2d_gemm.h"

#include "cuda/selftest/conv2d.h"

namespace sknet::cuda::test {
namespace {

const Conv2dCandidates kBf16{conv2d_forward_gemm_bf16, conv2d_backward_data_gemm_bf16, conv2d_backward_weight_gemm_bf16};
const Conv2dCandidates kFp32{conv2d_forward_gemm_fp32, conv2d_backward_data_gemm_fp32, conv2d_backward_weight_gemm_fp32};

const Geometry kPointwise[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1},    {1, 7, 7, 7, 33, 1, 1, 0, 1, 1},
    {5, 5, 3, 33, 7, 1, 1, 0, 1, 1},   {3, 10, 9, 65, 130, 1, 1, 0, 1, 1},
    {2, 7, 9, 17, 5, 1, 2, 0, 1, 1},   {2, 8, 6, 64, 32, 1, 2, 0, 1, 1},
    {1, 3, 3, 4, 4, 1, 1, 1, 1, 1},    {2, 12, 13, 72, 136, 1, 1, 0, 1, 1},
    {9, 12, 12, 8, 16, 1, 1, 0, 1, 1},  // pixels enough for several chunks of the weights' gradient
};
const Geometry kWindows[] = {
    {2, 9, 7, 8, 16, 3, 1, 1, 1, 1},  {1, 7, 7, 33, 7, 3, 1, 1, 1, 1}, {2, 9, 7, 12, 24, 3, 2, 1, 1, 1},   {1, 33, 5, 6, 10, 3, 1, 2, 2, 1},
    {1, 11, 10, 5, 6, 3, 2, 3, 4, 1}, {2, 8, 7, 4, 3, 5, 2, 1, 1, 1},  {1, 12, 12, 40, 70, 3, 3, 1, 2, 1}, {1, 9, 8, 9, 5, 3, 4, 1, 3, 1},
};
const Geometry kStems[] = {{2, 17, 18, 3, 64, 7, 2, 3, 1, 1}, {1, 1, 1, 3, 8, 7, 2, 3, 1, 1}, {2, 8, 8, 3, 70, 3, 1, 1, 1, 1}};

// Behind an SK unit: more steps than there are in shared memory, both widths of tiles, several images in a tile.
const Geometry kSelected[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1},    {3, 5, 7, 33, 33, 1, 1, 0, 1, 1},  {2, 7, 9, 17, 5, 1, 2, 0, 1, 1},
    {1, 3, 3, 4, 4, 1, 1, 1, 1, 1},    {3, 7, 7, 200, 70, 1, 1, 0, 1, 1}, {2, 6, 5, 136, 136, 1, 1, 0, 1, 1},
    {9, 12, 12, 8, 16, 1, 1, 0, 1, 1},
};

template <class Elem>
void check_all_selected(const Conv2dCandidates& candidates) {
  for (const Geometry& geometry : kSelected) check_selected<Elem>(candidates, geometry);
}

template <class Elem, size_t kCount>
void check_all(const Conv2dCandidates& candidates, const Geometry (&all)[kCount]) {
  int number = 0;
  for (const Geometry& geometry : all) check_conv2d<Elem>(candidates, geometry, ++number);
}

template <class Elem>
void check_stems(const Conv2dCandidates& c) {
  for (const Geometry& g : kStems) {
    check_forward<Elem>(c.forward, g, {.x_rows = true, .statistics = g.h > 1}, false);
    check_forward<Elem>(c.forward, g, {.x_rows = true}, true);
    check_forward<Elem>(c.forward, g, {.x_rows = true, .y_norm = true}, true);
    check_backward_weight<Elem>(c.weight, g, {.x_rows = true}, true);
    check_backward_weight<Elem>(c.weight, g, {.x_rows = true, .dy_norm = true}, false);
  }
}

SIMT_TEST(gemm_pointwise_bf16) { check_all<bf16>(kBf16, kPointwise); }
SIMT_TEST(gemm_pointwise_fp32) { check_all<float>(kFp32, kPointwise); }
SIMT_TEST(gemm_windows_bf16) { check_all<bf16>(kBf16, kWindows); }
SIMT_TEST(gemm_windows_fp32) { check_all<float>(kFp32, kWindows); }
SIMT_TEST(gemm_selected_bf16) { check_all_selected<bf16>(kBf16); }
SIMT_TEST(gemm_selected_fp32) { check_all_selected<float>(kFp32); }
SIMT_TEST(gemm_stem_bf16) { check_stems<bf16>(kBf16); }
SIMT_TEST(gemm_stem_fp32) { check_stems<float>(kFp32); }

SIMT_TEST(gemm_refuses) {
  const auto expect_refused = [](const auto& candidate, const Geometry& g, const Conv2dFusion& fusion) {
    simt_test::expect(candidate.refuse(g.problem(fusion)) != nullptr, "accepts " + describe(g.problem(fusion)));
  };
  const Geometry grouped{1, 4, 4, 8, 8, 3, 1, 1, 1, 2}, far_apart{1, 16, 16, 8, 8, 1, 5, 0, 1, 1}, dense{1, 4, 4, 8, 8, 1, 1, 0, 1, 1};
  expect_refused(conv2d_forward_gemm_bf16, grouped, {});
  expect_refused(conv2d_backward_data_gemm_bf16, grouped, {});
  expect_refused(conv2d_backward_weight_gemm_bf16, grouped, {});
  expect_refused(conv2d_backward_data_gemm_bf16, far_apart, {});
  expect_refused(conv2d_forward_gemm_bf16, dense, {.x_rows = true, .x_norm = true});
  expect_refused(conv2d_forward_gemm_bf16, dense, {.statistics = true, .y_norm = true});
  const Geometry window{1, 4, 4, 8, 8, 3, 1, 1, 1, 1}, many{1, 4, 4, 8, 520, 1, 1, 0, 1, 1};
  for (const auto& [geometry, fusion] : {std::pair<Geometry, Conv2dFusion>{window, {.x_branches = 2}},
                                         {many, {.x_branches = 2}},
                                         {dense, {.x_norm = true, .x_branches = 2}},
                                         {dense, {.x_rows = true, .x_branches = 2}}}) {
    expect_refused(conv2d_forward_gemm_bf16, geometry, fusion);
    expect_refused(conv2d_backward_weight_gemm_bf16, geometry, fusion);
  }
}

}  // namespace
}  // namespace sknet::cuda::test
