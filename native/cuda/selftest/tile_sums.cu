// The second level of sums, with and without groups of tiles.
#include "cuda/selftest/rows.h"
#include "cuda/tile_sums.h"

namespace sknet::cuda::test_rows {
namespace {

struct KeepSums {
  double* to;  // [channels][2]
  double rows;
  __device__ void operator()(int c, double first, double second) const {
    to[2 * c] = first;
    to[2 * c + 1] = second;
  }
};

void check_tile_sums(int tiles, int channels, bool means) {
  Numbers random(41);
  const Buffer<char> memory(TileSums::bytes(tiles, channels, means));
  const TileSums sums = TileSums::at(memory.device(), tiles, channels, means);
  std::vector<float> numbers(static_cast<size_t>(TileSums::floats(tiles, channels, means)));
  for (float& v : numbers) v = random.next();
  double rows = 0;
  std::vector<double> pixels(static_cast<size_t>(tiles), 1);
  for (int tile = 0; means && tile < tiles; ++tile) {
    const size_t at = static_cast<size_t>(tile);
    rows += pixels[at] = numbers[static_cast<size_t>(tiles) * 2 * static_cast<size_t>(channels) + at] = static_cast<float>(1 + tile % 5);
  }
  const auto number = [&](int tile, int which, int c) -> float& { return numbers[static_cast<size_t>((tile * 2 + which) * channels + c)]; };
  for (int tile = 0; means && tile < tiles; ++tile) {
    for (int c = 0; c < channels; ++c) number(tile, 0, c) += 100;  // far from zero against the spread
  }
  cudaMemcpy(memory.device(), numbers.data(), numbers.size() * sizeof(float), cudaMemcpyHostToDevice);
  const Buffer<double> got(static_cast<size_t>(2 * channels));
  launch_finish(sums, KeepSums{got.device(), rows}, nullptr);
  simt_test::finish();
  Values expected(static_cast<size_t>(2 * channels));
  for (int c = 0; c < channels; ++c) {
    double &first = expected[static_cast<size_t>(2 * c)], &second = expected[static_cast<size_t>(2 * c + 1)];
    for (int tile = 0; tile < tiles; ++tile) first += pixels[static_cast<size_t>(tile)] * number(tile, 0, c) / (means ? rows : 1);
    for (int tile = 0; tile < tiles; ++tile) {
      const double distance = number(tile, 0, c) - first;
      second += number(tile, 1, c) + (means ? pixels[static_cast<size_t>(tile)] * distance * distance : 0);
    }
  }
  const auto read = got.read();
  expect_values({read.begin(), read.end()}, expected, 1e-12, std::to_string(tiles) + " tiles");
}

SIMT_TEST(tile_sums) {
  for (const int tiles : {1, 7, 300, 2048, 2049, 5000}) {
    for (const bool means : {false, true}) check_tile_sums(tiles, 16, means);
  }
}

}  // namespace
}  // namespace sknet::cuda::test_rows
