// One epoch's batches, prepared ahead by own threads in slots allocated before the first of them runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/batch.h"
#include "data/feed.h"
#include "data/float_buffer.h"
#include "data/image.h"
#include "data/mix.h"
#include "data/order.h"
#include "data/picture_arena.h"
#include "data/source.h"
#include "data/transform.h"

namespace sknet::data {

enum class BadSamplePolicy { kReplace, kSkip };

// binding.d.ts, LoaderOptions.
struct LoaderOptions {
  int batch_size = 1;
  uint64_t seed = 0;
  uint32_t epoch = 0;
  bool shuffle = false;
  bool balanced = false;
  bool drop_last = false;
  // Of every batch this loader prepares the places from slice_begin up to slice_end: a rank's share. 0, 0: the whole batch.
  int slice_begin = 0, slice_end = 0;
  int64_t skip_batches = 0;
  TransformOptions transform;
  // 0: batches of floats. Else of bytes (core/picture.h), at most so many an image on the average; at least those of a finished image.
  int64_t image_bytes = 0;
  // Of a batch the images 0 and 1 are mixed, 2 and 3, and so on; needs even slices.
  MixOptions mix;
  int threads = 1;
  int ahead = 2;
  BadSamplePolicy on_bad_sample = BadSamplePolicy::kReplace;
};

// What a batch holds, or of a batch of bytes what comes of it, depends on (seed, epoch, sample) and the options, never on `threads` or on
// timing. Batches come in order. The slices of one batch that several loaders prepare are, put together, what one loader prepares of it. A
// sample that does not decode is reported in its batch and replaced by another, drawn from (seed, epoch, sample), or skipped (label -1,
// zeros). Replacements get the lost sample's crop and flip.
class Loader final : public BatchSource {
 public:
  // Allocates ahead + 1 slots and starts the threads. Throws Error ERR_SKNET_OOM naming the amount when the slots do not fit.
  Loader(std::shared_ptr<const Source> source, const LoaderOptions& options);
  // Ends the threads: each finishes at most the sample it is at.
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Throws what a preparing thread threw (batches before the failed one are delivered first; of several the one earliest in the order of
  // samples, whatever the threads did): ERR_SKNET_BAD_SAMPLES when no replacement decodes; ERR_SKNET_DISPOSED after stop(); ERR_SKNET_BUSY
  // when another thread is in it or has not released its batch.
  const Batch* acquire() override;
  void release() override;
  // The pixels of the batch acquired last, in exchange for a buffer as large as images_size() to go on with; then release() it.
  FloatBuffer take_images(FloatBuffer replacement);
  size_t images_size() const { return slots_.front().images.size(); }
  // Batches not yet acquired.
  int64_t remaining() const override;
  int height() const override { return transform_.options().height; }
  int width() const override { return transform_.options().width; }

  // Where samples come from that JavaScript supplies; null for sources that are read.
  Feed* feed() { return feed_.get(); }

  // Makes a waiting acquire() and all later ones throw. Any thread; does not wait.
  void stop();

 private:
  struct Slot {
    FloatBuffer images;  // of bytes, the arena's memory
    PictureArena arena;
    std::vector<Picture> pictures;
    int resized_on_host = 0;
    std::vector<int32_t> labels, indices, labels2;
    std::vector<float> mix;
    std::vector<int64_t> tickets;                // of the feed
    std::vector<std::pair<int, BadSample>> bad;  // place in the batch
    int pending = -1;                            // samples still to be done; -1: nobody has begun
    Batch batch;
  };
  struct Work {
    int64_t batch;
    int begin, end;  // places in the batch
  };
  struct Scratch {
    Image image;
    std::vector<uint8_t> stored;
    FedSample fed;
    TransformScratch transform;
    std::vector<std::pair<int, BadSample>> bad;
    int resized_on_host = 0;
  };

  Slot& slot_of(int64_t batch) { return slots_[static_cast<size_t>(batch) % slots_.size()]; }
  int count_of(int64_t batch) const;
  bool of_bytes() const { return options_.image_bytes > 0; }
  void allocate(int64_t largest);
  size_t image_floats() const { return static_cast<size_t>(height()) * static_cast<size_t>(width()) * 3; }
  void request_batch(int64_t batch);  // of the feed; under mutex_, or before the threads
  void stop_and_join();
  void work();
  Work next_work();                                    // under mutex_, when there is some
  std::vector<int32_t> chunks_to_read(int64_t batch);  // under mutex_
  void prepare(const Work& work, Slot& slot, Scratch& scratch) const;
  void prepare_sample(int64_t position, int place, Slot& slot, Scratch& scratch) const;
  // ticket: what the feed was asked for the sample with, where there is a feed.
  // The images at `place` and behind it, unless one of them was skipped.
  void mix_pair(int64_t position, int place, Slot& slot) const;
  ImageView read_image(int64_t index, int64_t ticket, const SampleKey& key, Scratch& scratch) const;
  bool try_sample(int64_t index, int64_t ticket, uint32_t key, int place, Slot& slot, Scratch& scratch) const;

  const std::shared_ptr<const Source> source_;
  LoaderOptions options_;
  const Transform transform_;
  EpochOrder order_;
  int64_t batches_ = 0;
  std::vector<Slot> slots_;
  const std::unique_ptr<Feed> feed_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;  // guards all below and, but for the samples themselves, the slots
  std::condition_variable to_prepare_, to_deliver_;
  bool stopped_ = false;
  bool acquiring_ = false;
  int64_t next_batch_ = 0;  // of the next work
  int next_place_ = 0;
  int64_t acquired_ = 0;  // batches handed out and handed back; acquired_ - 1 is held when they differ
  int64_t released_ = 0;
  size_t next_window_ = 0, next_window_chunk_ = 0;  // whose reading has not been asked for
  int preparing_ = 0;                               // threads
  // Of the work that comes first among those that failed; no work is begun behind it. Final once nobody is preparing.
  std::exception_ptr failure_;
  int64_t failed_batch_ = 0;
  int failed_place_ = 0;
};

}  // namespace sknet::data
