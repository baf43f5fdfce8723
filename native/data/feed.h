// Samples that the user's own code supplies: a loader asks for them ahead of time, JavaScript answers when it has them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/source.h"

namespace sknet::data {

// What was supplied for one request.
struct FedSample {
  std::vector<uint8_t> bytes;
  int width = 0, height = 0;  // of pixels; 0: the bytes are a JPEG or PNG file
  int32_t label = -1;
  std::string path;
  std::string fault;  // why there is no sample, else empty
};

struct FeedRequest {
  int64_t ticket, index;
};

struct FeedRequests {
  std::vector<FeedRequest> samples;
  // Of the source: samples of these will be asked for later.
  std::vector<int32_t> chunks;
};

// Between one loader's threads and JavaScript. Holds no more samples than the loader has asked for.
class Feed {
 public:
  // Loader side.
  int64_t request(int64_t index);
  void read_ahead(const std::vector<int32_t>& chunks);
  // Waits for the sample of a ticket; a ticket can be taken once. Throws Error ERR_SKNET_DISPOSED once the feed has stopped.
  FedSample take(int64_t ticket);

  // JavaScript's side. Waits until something is asked for; empty when nothing will be any more.
  FeedRequests next_requests();
  // Of a ticket that was asked for and not answered yet; others are ignored, as they come after an end.
  void supply(int64_t ticket, FedSample sample);

  // Nothing more will be asked for.
  void finish();
  // Ends all waiting.
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable asked_, supplied_;
  FeedRequests requests_;
  std::map<int64_t, std::unique_ptr<FedSample>> samples_;  // null: asked for
  int64_t next_ticket_ = 0;
  bool finished_ = false, stopped_ = false;
};

struct FeedOptions {
  std::string name;  // for people
  int64_t size = 0;
  int classes = 1;
  std::vector<int32_t> labels;  // empty: each sample brings its own
  int64_t max_pixels = 1;
  // Above 0: samples come one after the other, and are shuffled within windows of so many.
  int64_t stream_window = 0;
  // Samples that come together, and how much of them is shuffled at once (order.h); empty: any order is as cheap.
  std::vector<Chunk> chunks;
  int64_t window_bytes = 0;
};

// Its loaders take samples from a Feed; read() is never called.
std::unique_ptr<Source> make_feed_source(FeedOptions options);

}  // namespace sknet::data
