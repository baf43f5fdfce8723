// conv2d's candidate "grouped".
#include "cuda/conv2d_grouped.h"

#include "cuda/selftest/conv2d.h"

namespace sknet::cuda::test {
namespace {

const Conv2dCandidates kBf16{conv2d_forward_grouped_bf16, conv2d_backward_data_grouped_bf16, conv2d_backward_weight_grouped_bf16};
const Conv2dCandidates kFp32{conv2d_forward_grouped_fp32, conv2d_backward_data_grouped_fp32, conv2d_backward_weight_grouped_fp32};

struct Width {
  int width, groups;
};

template <class Elem>
void check_widths(const Conv2dCandidates& candidates) {
  int number = 0;
  for (const Width& w : {Width{1, 33}, {2, 32}, {4, 32}, {8, 4}, {16, 3}, {32, 2}, {64, 2}}) {
    const int c = w.width * w.groups;
    check_conv2d<Elem>(candidates, {2, 7, 5, c, c, 3, 1, 1, 1, w.groups}, ++number);
    check_conv2d<Elem>(candidates, {1, 8, 9, c, c, 3, 2, 1, 1, w.groups}, ++number);
    check_conv2d<Elem>(candidates, {2, 6, 17, c, c, 3, 1, 2, 2, w.groups}, ++number);
  }
}

const Geometry kUnusual[] = {
    {1, 9, 9, 32, 32, 3, 1, 3, 3, 8}, {1, 9, 12, 32, 32, 3, 2, 4, 4, 8}, {2, 7, 7, 16, 16, 5, 1, 2, 1, 4},
    {2, 8, 7, 16, 16, 7, 2, 3, 1, 4}, {5, 3, 3, 16, 16, 3, 1, 0, 1, 4},  {2, 6, 6, 8, 8, 3, 1, 3, 1, 2},
    {3, 5, 7, 12, 12, 3, 3, 1, 1, 3}, {270, 8, 3, 8, 8, 3, 1, 1, 1, 2},  // more tiles than blocks
};

template <class Elem>
void check_unusual(const Conv2dCandidates& candidates) {
  int number = 0;
  for (const Geometry& geometry : kUnusual) check_conv2d<Elem>(candidates, geometry, ++number);
}

SIMT_TEST(grouped_widths_bf16) { check_widths<bf16>(kBf16); }
SIMT_TEST(grouped_widths_fp32) { check_widths<float>(kFp32); }
SIMT_TEST(grouped_unusual_bf16) { check_unusual<bf16>(kBf16); }
SIMT_TEST(grouped_unusual_fp32) { check_unusual<float>(kFp32); }

SIMT_TEST(grouped_refuses) {
  const auto expect_refused = [](const auto& candidate, const Geometry& g) {
    simt_test::expect(candidate.refuse(g.problem({})) != nullptr, "accepts " + describe(g.problem({})));
  };
  const Geometry dense{1, 4, 4, 8, 8, 3, 1, 1, 1, 1}, uneven{1, 4, 4, 8, 16, 3, 1, 1, 1, 8}, six{1, 4, 4, 18, 18, 3, 1, 1, 1, 3};
  const Geometry huge{1, 64, 64, 128, 128, 3, 1, 30, 30, 2};  // taps 60 pixels apart: no tile fits
  for (const Geometry& g : {dense, uneven, six, huge}) {
    expect_refused(conv2d_forward_grouped_bf16, g);
    expect_refused(conv2d_backward_data_grouped_fp32, g);
    expect_refused(conv2d_backward_weight_grouped_bf16, g);
  }
}

}  // namespace
}  // namespace sknet::cuda::test
