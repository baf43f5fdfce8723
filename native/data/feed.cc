#include "data/feed.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace sknet::data {

namespace {

class FeedSource final : public Source {
 public:
  explicit FeedSource(FeedOptions options) : options_(std::move(options)) {}

  int64_t size() const override { return options_.size; }
  int32_t label(int64_t index) const override { return options_.labels.empty() ? -1 : options_.labels[static_cast<size_t>(index)]; }
  std::string path(int64_t index) const override { return options_.name + ", sample " + std::to_string(index); }
  StoredImage read(int64_t, std::vector<uint8_t>&) const override {
    throw Error("ERR_SKNET_NATIVE", options_.name + " is read through a loader only");
  }
  int64_t max_pixels() const override { return options_.max_pixels; }
  std::vector<Chunk> chunks() const override { return options_.chunks; }
  int64_t window_bytes() const override { return options_.window_bytes > 0 ? options_.window_bytes : kWindowBytes; }
  int64_t stream_window() const override { return options_.stream_window; }
  int fed_classes() const override { return options_.classes; }
  bool knows_labels() const override { return !options_.labels.empty(); }

 private:
  const FeedOptions options_;
};

}  // namespace

int64_t Feed::request(int64_t index) {
  const std::lock_guard lock(mutex_);
  const int64_t ticket = next_ticket_++;
  if (stopped_) return ticket;
  samples_[ticket] = nullptr;
  requests_.samples.push_back({ticket, index});
  asked_.notify_all();
  return ticket;
}

void Feed::read_ahead(const std::vector<int32_t>& chunks) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || chunks.empty()) return;
  requests_.chunks.insert(requests_.chunks.end(), chunks.begin(), chunks.end());
  asked_.notify_all();
}

FedSample Feed::take(int64_t ticket) {
  std::unique_lock lock(mutex_);
  supplied_.wait(lock, [&] {
    const auto found = samples_.find(ticket);
    return stopped_ || (found != samples_.end() && found->second != nullptr);
  });
  if (stopped_) throw Error("ERR_SKNET_DISPOSED", "the loader was disposed");
  const auto found = samples_.find(ticket);
  FedSample sample = std::move(*found->second);
  samples_.erase(found);
  return sample;
}

FeedRequests Feed::next_requests() {
  std::unique_lock lock(mutex_);
  asked_.wait(lock, [&] { return stopped_ || finished_ || !requests_.samples.empty() || !requests_.chunks.empty(); });
  return std::exchange(requests_, {});
}

void Feed::supply(int64_t ticket, FedSample sample) {
  const std::lock_guard lock(mutex_);
  const auto found = samples_.find(ticket);
  if (stopped_ || found == samples_.end() || found->second != nullptr) return;
  found->second = std::make_unique<FedSample>(std::move(sample));
  supplied_.notify_all();
}

void Feed::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  asked_.notify_all();
}

void Feed::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  samples_.clear();
  requests_ = {};
  asked_.notify_all();
  supplied_.notify_all();
}

std::unique_ptr<Source> make_feed_source(FeedOptions options) {
  check(options.size >= 1 && options.classes >= 1, "ERR_SKNET_NATIVE", "size and classes must be at least 1");
  check(options.labels.empty() || static_cast<int64_t>(options.labels.size()) == options.size, "ERR_SKNET_NATIVE",
        "labels must be as many as samples, or none");
  for (size_t i = 0; i < options.chunks.size(); ++i) {
    const int64_t least = i == 0 ? 0 : options.chunks[i - 1].first + 1;
    check(options.chunks[i].first >= least && options.chunks[i].first < options.size && (i > 0 || options.chunks[0].first == 0),
          "ERR_SKNET_NATIVE", "chunks must begin at 0 and ascend");
  }
  return std::make_unique<FeedSource>(std::move(options));
}

}  // namespace sknet::data
