#include "data/order.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/philox.h"

namespace sknet::data {

namespace {

// Streams of RandomPurpose::kOrder: 0 permutes all samples, or all chunks; then one a window, and one a class.
constexpr uint32_t kWholeStream = 0;
constexpr uint32_t kWindowStream = 1;
constexpr uint32_t kClassStream = 0x80000000;

PhiloxStream stream(const Sampling& sampling, uint32_t number) { return {sampling.seed, sampling.epoch, number, RandomPurpose::kOrder}; }

// Fisher-Yates; swap(a, b) exchanges two places.
template <class Swap>
void permute(size_t size, PhiloxStream& random, const Swap& swap) {
  for (size_t i = size; i > 1; --i) swap(i - 1, random.below(static_cast<uint32_t>(i)));
}

template <class T>
void permute(std::span<T> items, PhiloxStream random) {
  permute(items.size(), random, [&](size_t a, size_t b) { std::swap(items[a], items[b]); });
}

EpochOrder windowed_order(const Source& source, const std::vector<Chunk>& chunks, const Sampling& sampling) {
  const int64_t size = source.size(), most_bytes = source.window_bytes();
  std::vector<int32_t> sequence(chunks.size());
  std::iota(sequence.begin(), sequence.end(), 0);
  if (sampling.shuffle) permute(std::span(sequence), stream(sampling, kWholeStream));

  EpochOrder order;
  order.samples.reserve(static_cast<size_t>(size));
  int64_t bytes = 0;
  const auto close = [&] {
    const auto first = static_cast<size_t>(order.windows.back().position);
    const auto number = static_cast<uint32_t>(order.windows.size() - 1);
    if (sampling.shuffle) permute(std::span(order.samples).subspan(first), stream(sampling, kWindowStream + number));
  };
  for (const int32_t chunk : sequence) {
    const auto position = static_cast<int64_t>(order.samples.size());
    const bool full = !order.windows.empty() && (position - order.windows.back().position >= kWindowSamples || bytes >= most_bytes);
    if (full) close();
    if (full || order.windows.empty()) {
      order.windows.push_back({position, {}});
      bytes = 0;
    }
    const auto at = static_cast<size_t>(chunk);
    const int64_t end = at + 1 < chunks.size() ? chunks[at + 1].first : size;
    for (int64_t i = chunks[at].first; i < end; ++i) order.samples.push_back(static_cast<int32_t>(i));
    order.windows.back().chunks.push_back(chunk);
    bytes += chunks[at].bytes;
  }
  if (!order.windows.empty()) close();
  return order;
}

EpochOrder balanced_order(const Source& source, const Sampling& sampling) {
  std::map<int32_t, std::vector<int32_t>> classes;
  const int64_t size = source.size();
  for (int64_t i = 0; i < size; ++i) classes[source.label(i)].push_back(static_cast<int32_t>(i));
  const auto count = static_cast<int64_t>(classes.size());
  std::vector<int64_t> places(classes.size());
  std::iota(places.begin(), places.end(), 0);
  permute(std::span(places), stream(sampling, kClassStream));

  EpochOrder order;
  order.samples.reserve(static_cast<size_t>(size));
  order.keys.reserve(static_cast<size_t>(size));
  size_t number = 0;
  for (auto& [label, members] : classes) {
    const int64_t share = size / count + (places[number] < size % count ? 1 : 0);
    PhiloxStream random = stream(sampling, kClassStream + 1 + static_cast<uint32_t>(number));
    for (int64_t taken = 0, pass = 0; taken < share; ++pass) {
      permute(members.size(), random, [&](size_t a, size_t b) { std::swap(members[a], members[b]); });
      for (size_t i = 0; i < members.size() && taken < share; ++i, ++taken) {
        order.samples.push_back(members[i]);
        order.keys.push_back(static_cast<uint32_t>(members[i] + pass * size));
      }
    }
    ++number;
  }
  PhiloxStream random = stream(sampling, kWholeStream);
  permute(order.samples.size(), random, [&](size_t a, size_t b) {
    std::swap(order.samples[a], order.samples[b]);
    std::swap(order.keys[a], order.keys[b]);
  });
  return order;
}

}  // namespace

EpochOrder epoch_order(const Source& source, const Sampling& sampling) {
  const int64_t size = source.size();
  check(size >= 0 && size <= std::numeric_limits<int32_t>::max(), "ERR_SKNET_DATA", "a data set may have at most 2^31 - 1 samples");
  if (sampling.balanced) return balanced_order(source, sampling);
  const std::vector<Chunk> chunks = source.chunks();
  if (!chunks.empty()) return windowed_order(source, chunks, sampling);
  EpochOrder order;
  order.samples.resize(static_cast<size_t>(size));
  std::iota(order.samples.begin(), order.samples.end(), 0);
  if (!sampling.shuffle) return order;
  const int64_t window = source.stream_window() > 0 ? source.stream_window() : std::max<int64_t>(size, 1);
  for (int64_t first = 0, number = 0; first < size; first += window, ++number) {
    const auto samples = std::span(order.samples).subspan(static_cast<size_t>(first), static_cast<size_t>(std::min(window, size - first)));
    const uint32_t drawn = source.stream_window() > 0 ? kWindowStream + static_cast<uint32_t>(number) : kWholeStream;
    permute(samples, stream(sampling, drawn));
  }
  return order;
}

}  // namespace sknet::data
