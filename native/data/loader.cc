#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/error.h"
#include "core/philox.h"
#include "data/decode.h"

namespace sknet::data {

namespace {

constexpr int kReplacementTries = 32;
// Samples a thread takes at once, at most: enough to make the lock cheap for samples of a few microseconds.
constexpr int kMaxChunk = 8;
// Not even asked for: more than any machine has.
constexpr size_t kMaxBytes = size_t{1} << 39;

void check_fed(const FedSample& sample, int classes) {
  if (!sample.fault.empty()) throw Error("ERR_SKNET_DATA", sample.fault);
  if (sample.label < 0 || sample.label >= classes) {
    throw Error("ERR_SKNET_DATA",
                "the label is " + std::to_string(sample.label) + ", expected one from 0 to " + std::to_string(classes - 1));
  }
}

bool is_bad_sample(const Error& e) { return e.code == "ERR_SKNET_DECODE" || e.code == "ERR_SKNET_DATA"; }

}  // namespace

Loader::Loader(std::shared_ptr<const Source> source, const LoaderOptions& options)
    : source_(std::move(source)),
      options_(options),
      transform_(options.transform),
      feed_(source_->fed_classes() > 0 ? std::make_unique<Feed>() : nullptr) {
  check(options_.batch_size >= 1 && options_.threads >= 1 && options_.ahead >= 1 && options_.skip_batches >= 0, "ERR_SKNET_NATIVE",
        "batchSize, threads and ahead must be at least 1, skipBatches at least 0");
  check(options_.slice_begin >= 0 && options_.slice_begin <= options_.slice_end && options_.slice_end <= options_.batch_size,
        "ERR_SKNET_NATIVE", "slice must be a part of the batch");
  if (options_.slice_end == 0) options_.slice_end = options_.batch_size;
  check(!options_.mix.any() || options_.slice_begin % 2 == 0, "ERR_SKNET_NATIVE",
        "mixed images lie in pairs: slices must begin at an even place");
  order_ = epoch_order(*source_, {options_.seed, options_.epoch, options_.shuffle, options_.balanced});
  const int64_t size = source_->size(), batch = options_.batch_size;
  batches_ = options_.drop_last ? size / batch : (size + batch - 1) / batch;
  next_batch_ = acquired_ = released_ = std::min(options_.skip_batches, batches_);

  const int64_t left = batches_ - next_batch_;
  slots_ = std::vector<Slot>(static_cast<size_t>(std::clamp<int64_t>(options_.ahead + 1, 1, std::max<int64_t>(left, 1))));
  allocate(std::min<int64_t>(options_.slice_end - options_.slice_begin, std::max<int64_t>(size, 1)));
  for (int64_t batch = next_batch_; feed_ && batch < std::min(batches_, next_batch_ + static_cast<int64_t>(slots_.size())); ++batch) {
    request_batch(batch);
  }
  if (feed_ && left <= 0) feed_->finish();
  try {
    for (int64_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop_and_join();
    throw;
  }
}

Loader::~Loader() { stop_and_join(); }

void Loader::allocate(int64_t largest) {
  const auto images = static_cast<size_t>(largest);
  const int64_t least = picture_bytes(static_cast<int64_t>(image_floats()));
  check(!of_bytes() || options_.image_bytes >= least, "ERR_SKNET_NATIVE",
        "imageBytes must be at least " + std::to_string(least) + ", those of a finished image");
  const size_t bytes = images * (of_bytes() ? static_cast<size_t>(options_.image_bytes) : image_floats() * sizeof(float));
  try {
    if (bytes > kMaxBytes / slots_.size()) throw std::bad_alloc();
    for (Slot& slot : slots_) {
      slot.images = FloatBuffer((bytes + sizeof(float) - 1) / sizeof(float));
      if (of_bytes()) slot.pictures.resize(images);
      slot.labels.resize(images);
      slot.indices.resize(images);
      if (options_.mix.any()) {
        slot.labels2.resize(images);
        slot.mix.resize(images);
      }
      if (feed_) slot.tickets.resize(images);
    }
  } catch (const std::exception&) {
    const std::string got = std::to_string(bytes * slots_.size()) + " bytes";
    throw Error("ERR_SKNET_OOM", "the loader's batches need " + got).with_got(got).with_expected("a smaller batch");
  }
}

void Loader::stop_and_join() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  if (feed_) feed_->stop();
  to_prepare_.notify_all();
  to_deliver_.notify_all();
}

void Loader::request_batch(int64_t batch) {
  const int count = count_of(batch);
  const int64_t first = batch * options_.batch_size + options_.slice_begin;
  for (int place = 0; place < count; ++place) {
    slot_of(batch).tickets[static_cast<size_t>(place)] = feed_->request(order_.samples[static_cast<size_t>(first + place)]);
  }
}

int Loader::count_of(int64_t batch) const {
  const int64_t rest = source_->size() - batch * options_.batch_size;
  return static_cast<int>(std::max<int64_t>(0, std::min<int64_t>(rest, options_.slice_end) - options_.slice_begin));
}

int64_t Loader::remaining() const {
  const std::lock_guard lock(mutex_);
  return batches_ - acquired_;
}

const Batch* Loader::acquire() {
  std::unique_lock lock(mutex_);
  if (acquiring_ || acquired_ != released_) {
    throw Error("ERR_SKNET_BUSY", "the loader is in use: a batch was asked for before the last one was handed back")
        .with_got("two consumers")
        .with_expected("one consumer a loader");
  }
  const int64_t batch = acquired_;
  Slot& slot = slot_of(batch);
  acquiring_ = true;
  // What is being prepared elsewhere may lie before the failure known so far, and fail too.
  const auto failed = [&] { return failure_ && preparing_ == 0 && batch >= failed_batch_; };
  to_deliver_.wait(lock, [&] { return stopped_ || batch == batches_ || failed() || slot.pending == 0; });
  acquiring_ = false;
  if (stopped_) throw Error("ERR_SKNET_DISPOSED", "the loader was disposed");
  if (batch == batches_) return nullptr;
  if (failed()) std::rethrow_exception(failure_);

  std::stable_sort(slot.bad.begin(), slot.bad.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  slot.batch.images = of_bytes() ? nullptr : slot.images.data();
  slot.batch.resized_on_host = slot.resized_on_host;
  if (of_bytes()) slot.batch.pictures = {slot.pictures.data(), slot.arena.data(), slot.arena.used(), transform_.table()};
  slot.batch.labels = slot.labels.data();
  slot.batch.labels2 = options_.mix.any() ? slot.labels2.data() : nullptr;
  slot.batch.mix = options_.mix.any() ? slot.mix.data() : nullptr;
  slot.batch.indices = slot.indices.data();
  slot.batch.count = count_of(batch);
  slot.batch.bad.clear();
  for (auto& [place, bad] : slot.bad) slot.batch.bad.push_back(std::move(bad));
  ++acquired_;
  if (feed_ && acquired_ == batches_) feed_->finish();
  return &slot.batch;
}

FloatBuffer Loader::take_images(FloatBuffer replacement) {
  check(replacement.size() == images_size(), "ERR_SKNET_NATIVE", "a batch's memory must be exchanged for as much");
  const std::lock_guard lock(mutex_);
  check(released_ != acquired_, "ERR_SKNET_NATIVE", "there is no batch to take from");
  return std::exchange(slot_of(released_).images, std::move(replacement));
}

void Loader::release() {
  {
    const std::lock_guard lock(mutex_);
    if (released_ == acquired_) return;
    slot_of(released_).pending = -1;
    ++released_;
    const int64_t batch = released_ + static_cast<int64_t>(slots_.size()) - 1;
    if (feed_ && batch < batches_) request_batch(batch);
  }
  to_prepare_.notify_all();
}

// The chunks of a window are read while the window before it is visited, in the same proportion. Called once a batch, in order.
std::vector<int32_t> Loader::chunks_to_read(int64_t batch) {
  std::vector<int32_t> due;
  const std::vector<ReadWindow>& windows = order_.windows;
  const int64_t position = batch * options_.batch_size, size = source_->size();
  while (next_window_ < windows.size()) {
    const std::vector<int32_t>& chunks = windows[next_window_].chunks;
    const int64_t begin = next_window_ == 0 ? 0 : windows[next_window_ - 1].position, end = windows[next_window_].position;
    const int64_t after = next_window_ + 1 < windows.size() ? windows[next_window_ + 1].position : size;
    size_t wanted = chunks.size();
    if (position < end) wanted = static_cast<size_t>(std::max<int64_t>(0, position - begin)) * wanted / static_cast<size_t>(end - begin);
    // Left behind by a resume.
    if (position >= after) next_window_chunk_ = wanted;
    while (next_window_chunk_ < wanted) due.push_back(chunks[next_window_chunk_++]);
    if (next_window_chunk_ < chunks.size()) break;
    ++next_window_;
    next_window_chunk_ = 0;
  }
  return due;
}

void Loader::work() {
  Scratch scratch;
  std::unique_lock lock(mutex_);
  for (;;) {
    to_prepare_.wait(lock, [&] {
      if (stopped_ || failure_ || next_batch_ == batches_) return true;
      return next_batch_ < released_ + static_cast<int64_t>(slots_.size());
    });
    if (stopped_ || failure_ || next_batch_ == batches_) return;
    const Work work = next_work();
    Slot& slot = slot_of(work.batch);
    const std::vector<int32_t> chunks = work.begin == 0 ? chunks_to_read(work.batch) : std::vector<int32_t>();
    ++preparing_;
    lock.unlock();
    if (feed_) feed_->read_ahead(chunks);
    for (const int32_t chunk : chunks) source_->read_ahead(static_cast<size_t>(chunk));
    std::exception_ptr failure;
    scratch.bad.clear();
    scratch.resized_on_host = 0;
    try {
      prepare(work, slot, scratch);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --preparing_;
    if (failure && (!failure_ || std::pair(work.batch, work.begin) < std::pair(failed_batch_, failed_place_))) {
      failure_ = failure;
      failed_batch_ = work.batch;
      failed_place_ = work.begin;
    }
    slot.bad.insert(slot.bad.end(), scratch.bad.begin(), scratch.bad.end());
    slot.resized_on_host += scratch.resized_on_host;
    // A batch that failed stays incomplete.
    if (!failure) slot.pending -= work.end - work.begin;
    // Those still preparing may ask for replacements.
    if (failure_ && preparing_ == 0 && feed_) feed_->finish();
    if (failure_) to_prepare_.notify_all();
    if (failure_ || slot.pending == 0) to_deliver_.notify_all();
  }
}

Loader::Work Loader::next_work() {
  const int count = count_of(next_batch_);
  Slot& slot = slot_of(next_batch_);
  if (next_place_ == 0) {
    slot.pending = slot.batch.count = count;
    slot.bad.clear();
    slot.resized_on_host = 0;
    if (of_bytes()) {
      slot.arena.reset(reinterpret_cast<uint8_t*>(slot.images.data()), count * options_.image_bytes, count,
                       picture_bytes(static_cast<int64_t>(image_floats())));
    }
  }
  // Pairs that are mixed stay together.
  const int least = options_.mix.any() ? 2 : 1;
  const int share = std::max(1, count / options_.threads / least) * least;
  const Work work{next_batch_, next_place_, std::min(count, next_place_ + std::min(share, kMaxChunk))};
  next_place_ = work.end;
  if (next_place_ == count) {
    ++next_batch_;
    next_place_ = 0;
    // Threads that wait for work after the last batch have to see that there is none.
    if (next_batch_ == batches_) to_prepare_.notify_all();
  }
  return work;
}

void Loader::prepare(const Work& work, Slot& slot, Scratch& scratch) const {
  for (int place = work.begin; place < work.end; ++place) {
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
    }
    prepare_sample(work.batch * options_.batch_size + options_.slice_begin + place, place, slot, scratch);
  }
  if (!options_.mix.any()) return;
  for (int place = work.begin; place < work.end; place += 2) {
    mix_pair(work.batch * options_.batch_size + options_.slice_begin + place, place, slot);
  }
}

void Loader::mix_pair(int64_t position, int place, Slot& slot) const {
  const auto a = static_cast<size_t>(place), b = a + 1;
  const bool paired = place + 1 < slot.batch.count;
  for (size_t i = a; i < (paired ? a + 2 : a + 1); ++i) {
    slot.labels2[i] = slot.labels[i];
    slot.mix[i] = 1;
  }
  if (!paired || slot.labels[a] < 0 || slot.labels[b] < 0) return;
  const Mix mix = draw_mix(options_.mix, {options_.seed, options_.epoch, order_.key(position)}, height(), width());
  if (of_bytes()) {
    mix_pictures(mix, slot.pictures[a], slot.pictures[b]);
  } else {
    float* images = slot.images.data() + a * image_floats();
    mix_images(mix, height(), width(), images, images + image_floats());
  }
  std::swap(slot.labels2[a], slot.labels2[b]);
  slot.mix[a] = slot.mix[b] = mix.share;
}

void Loader::prepare_sample(int64_t position, int place, Slot& slot, Scratch& scratch) const {
  const int64_t index = order_.samples[static_cast<size_t>(position)];
  const uint32_t key = order_.key(position);
  if (try_sample(index, feed_ ? slot.tickets[static_cast<size_t>(place)] : 0, key, place, slot, scratch)) return;
  if (options_.on_bad_sample == BadSamplePolicy::kSkip) {
    if (of_bytes()) {
      slot.pictures[static_cast<size_t>(place)] = {};  // nothing but the mean colour
    } else {
      std::fill_n(slot.images.data() + static_cast<size_t>(place) * image_floats(), image_floats(), 0.0f);
    }
    slot.labels[static_cast<size_t>(place)] = -1;
    slot.indices[static_cast<size_t>(place)] = static_cast<int32_t>(index);
    return;
  }
  PhiloxStream random(options_.seed, options_.epoch, key, RandomPurpose::kReplace);
  for (int i = 0; i < kReplacementTries; ++i) {
    const int64_t other = random.below(static_cast<uint32_t>(source_->size()));
    if (try_sample(other, feed_ ? feed_->request(other) : 0, key, place, slot, scratch)) return;
  }
  const BadSample& first = scratch.bad[scratch.bad.size() - kReplacementTries - 1].second;
  throw Error("ERR_SKNET_BAD_SAMPLES", first.path + " does not decode, and neither does any of " + std::to_string(kReplacementTries) +
                                           " samples drawn to replace it: " + first.reason)
      .with_path(first.path)
      .with_got(first.reason)
      .with_expected("a data set most of which decodes");
}

// What the transform needs of the sample's pixels: in the scratch, or where they are stored.
ImageView Loader::read_image(int64_t index, int64_t ticket, const SampleKey& key, Scratch& scratch) const {
  StoredImage found;
  if (feed_) {
    scratch.fed = feed_->take(ticket);
    check_fed(scratch.fed, source_->fed_classes());
    found = {scratch.fed.bytes, scratch.fed.width, scratch.fed.height};
  } else {
    found = source_->read(index, scratch.stored);
  }
  if (!found.encoded()) {
    return {found.bytes.data(), found.width, found.height, int64_t{3} * found.width, {found.width, found.height}};
  }
  const auto part = [&](int width, int height) { return transform_.part(width, height, key); };
  decode_image(found.bytes, source_->max_pixels(), part, scratch.image);
  return scratch.image.view();
}

bool Loader::try_sample(int64_t index, int64_t ticket, uint32_t key, int place, Slot& slot, Scratch& scratch) const {
  try {
    const SampleKey sample{options_.seed, options_.epoch, key};
    const ImageView image = read_image(index, ticket, sample, scratch);
    if (!of_bytes()) {
      transform_.apply(image, sample, scratch.transform, slot.images.data() + static_cast<size_t>(place) * image_floats());
    } else if (!transform_.hand_over(image, sample, scratch.transform, slot.arena, slot.pictures[static_cast<size_t>(place)])) {
      ++scratch.resized_on_host;
    }
  } catch (const Error& e) {
    if (!is_bad_sample(e)) throw;
    const bool named = feed_ && !scratch.fed.path.empty();
    scratch.bad.emplace_back(place, BadSample{index, named ? scratch.fed.path : source_->path(index), e.what()});
    return false;
  }
  slot.labels[static_cast<size_t>(place)] = feed_ ? scratch.fed.label : source_->label(index);
  slot.indices[static_cast<size_t>(place)] = static_cast<int32_t>(index);
  return true;
}

}  // namespace sknet::data
