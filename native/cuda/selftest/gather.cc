// channel_gather.
#include "cuda/kernels.h"
#include "cuda/selftest/rows.h"

namespace sknet::cuda::test_rows {
namespace {

template <class Elem>
void check_gather(const ChannelGatherProblem& p) {
  const size_t rows = static_cast<size_t>(p.n * p.hw), out = static_cast<size_t>(p.out);
  Numbers random(41);
  const Values add = random_rows<Elem>(random, p.n * p.hw, p.out), dy = random_rows<Elem>(random, p.n * p.hw, p.out);
  const auto on_y = upload<Elem>(add, p.out), on_dy = upload<Elem>(dy, p.out);
  Values y = add;
  ChannelGatherForwardArgs a{};
  std::vector<Buffer<Elem>> sources;
  for (int source = 0, before = 0; source < p.sources; before += p.c[source++]) {
    const size_t c = static_cast<size_t>(p.c[source]);
    const Values x = random_rows<Elem>(random, p.n * p.hw, p.c[source]);
    Values dx = x;  // what is added to
    for (size_t i = 0; i < rows * out; ++i) {
      const int j = static_cast<int>(i % out), channel = p.first + j % p.groups * (p.out / p.groups) + j / p.groups - before;
      if (channel < 0 || channel >= p.c[source]) continue;
      const size_t from = i / out * c + static_cast<size_t>(channel);
      y[i] += x[from];
      dx[from] += dy[i];
    }
    sources.push_back(upload<Elem>(x, p.c[source]));
    a.x[source] = sources.back().device();
    const auto on_dx = upload<Elem>(x, p.c[source]);
    run(pick<Elem>(channel_gather_backward_plain_fp32, channel_gather_backward_plain_bf16), p,
        {source, on_dy.device(), on_dx.device(), on_dx.device()});
    expect_values(download(on_dx, p.c[source]), dx, elem_epsilon<Elem>(), "dx of source " + std::to_string(source));
  }
  a.y = on_y.device();
  a.add = on_y.device();
  run(pick<Elem>(channel_gather_forward_plain_fp32, channel_gather_forward_plain_bf16), p, a);
  expect_values(download(on_y, p.out), y, elem_epsilon<Elem>(), "y");
}

SIMT_TEST(channel_gather) {
  in_both([]<class Elem>() {
    check_gather<Elem>({2, 9, 1, {20}, 3, 12, 1});               // a slice
    check_gather<Elem>({2, 30, 3, {8, 5, 17}, 0, 30, 1});        // a concatenation
    check_gather<Elem>({1, 300, 2, {36, 36}, 0, 72, 2});         // shuffled
    check_gather<Elem>({3, 4, 4, {10, 10, 10, 10}, 10, 24, 3});  // part of it
  });
}

}  // namespace
}  // namespace sknet::cuda::test_rows
