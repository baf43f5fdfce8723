#include "data/pack.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "data/crc32c.h"
#include "data/order.h"
#include "data/shard_index.h"
#include "data/tar.h"
#include "data/written_file.h"

namespace sknet::data {

namespace {

constexpr size_t kSlotsPerThread = 8;
// Two empty blocks end an archive; files are filled up to a record of 20 blocks.
constexpr int64_t kEnd = 2 * kTarBlock;
constexpr int64_t kRecord = 20 * kTarBlock;

int64_t stored_bytes(int64_t size) { return kTarBlock + size + tar_padding(size); }

std::string key_of(int64_t position) {
  char text[24];
  std::snprintf(text, sizeof(text), "%09lld", static_cast<long long>(position));
  return text;
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < ' ') {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::span<const uint8_t> bytes_of(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

class TarFile {
 public:
  explicit TarFile(const std::string& path) : file_(path) {}

  int64_t size() const { return file_.size(); }
  // Returns where the content begins.
  int64_t add(const std::string& name, std::span<const uint8_t> content) {
    const auto size = static_cast<int64_t>(content.size());
    file_.write(tar_header(name, size));
    const int64_t offset = file_.size();
    file_.write(content);
    fill(tar_padding(size));
    return offset;
  }
  void finish() {
    fill(kEnd);
    fill((kRecord - size() % kRecord) % kRecord);
    file_.finish();
  }

 private:
  void fill(int64_t count) { file_.write(std::vector<uint8_t>(static_cast<size_t>(count))); }
  WrittenFile file_;
};

}  // namespace

Packer::Packer(std::shared_ptr<const Source> source, const PackOptions& options)
    : source_(std::move(source)), options_(options), slots_(kSlotsPerThread * static_cast<size_t>(options.threads)) {
  check(options_.threads >= 1 && options_.shard_bytes >= 1 && options_.from >= 0, "ERR_SKNET_NATIVE",
        "threads, shardBytes or from is out of range");
  order_ = epoch_order(*source_, {.seed = options_.seed, .shuffle = options_.shuffle}).samples;
  next_ = written_ = std::min(options_.from, static_cast<int64_t>(order_.size()));
  try {
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    for (std::thread& thread : threads_) thread.join();
    throw;
  }
}

Packer::~Packer() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

void Packer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  to_prepare_.notify_all();
  to_write_.notify_all();
}

int64_t Packer::done() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

void Packer::work() {
  PackScratch scratch;
  const auto size = static_cast<int64_t>(order_.size());
  std::unique_lock lock(mutex_);
  for (;;) {
    to_prepare_.wait(lock, [&] { return stopped_ || failure_ || next_ == size || next_ < written_ + static_cast<int64_t>(slots_.size()); });
    if (stopped_ || failure_ || next_ == size) return;
    const int64_t position = next_++;
    Slot& slot = slot_of(position);
    lock.unlock();
    std::exception_ptr failure;
    try {
      prepare(position, scratch, slot);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    slot.ready = true;
    if (failure && !failure_) failure_ = failure;
    to_write_.notify_all();
    if (failure_ || next_ == size) to_prepare_.notify_all();
  }
}

void Packer::prepare(int64_t position, PackScratch& scratch, Slot& slot) const {
  slot.bad.clear();
  try {
    pack_image(*source_, order_[static_cast<size_t>(position)], options_.image, scratch, slot.image);
  } catch (const Error& e) {
    if (e.code != "ERR_SKNET_DECODE" && e.code != "ERR_SKNET_DATA") throw;
    slot.bad = e.what();
  }
}

Packer::Slot& Packer::wait_for(int64_t position) {
  std::unique_lock lock(mutex_);
  Slot& slot = slot_of(position);
  to_write_.wait(lock, [&] { return stopped_ || failure_ || slot.ready; });
  if (stopped_) throw Error("ERR_SKNET_DISPOSED", "the packing was stopped");
  if (failure_) std::rethrow_exception(failure_);
  return slot;
}

std::string Packer::info_of(int64_t index) const {
  std::string path = source_->path(index);
  if (!options_.root.empty() && path.starts_with(options_.root + "/")) path.erase(0, options_.root.size() + 1);
  return "{\"path\":" + json_text(path) + ",\"class\":" + std::to_string(source_->label(index)) + "}\n";
}

PackedShard Packer::write_shard(const std::string& tar_path, const std::string& index_path) {
  PackedShard shard;
  ShardIndex index;
  const auto size = static_cast<int64_t>(order_.size());
  shard.from = shard.to = index.from = done();
  if (shard.from == size) return shard;
  TarFile tar(tar_path);
  while (shard.to < size) {
    Slot& slot = wait_for(shard.to);
    const int64_t sample = order_[static_cast<size_t>(shard.to)];
    if (slot.bad.empty()) {
      const std::string key = key_of(shard.to), label = std::to_string(source_->label(sample));
      const std::string info = options_.info ? info_of(sample) : "";
      const std::vector<uint8_t>& image = slot.image.bytes;
      const int64_t more = stored_bytes(static_cast<int64_t>(image.size())) + stored_bytes(static_cast<int64_t>(label.size())) +
                           (info.empty() ? 0 : stored_bytes(static_cast<int64_t>(info.size())));
      if (tar.size() > 0 && tar.size() + more + kEnd > options_.shard_bytes) break;
      const std::string name = key + "." + slot.image.extension;
      const int64_t offset = tar.add(name, image);
      tar.add(key + ".cls", bytes_of(label));
      if (!info.empty()) tar.add(key + ".json", bytes_of(info));
      index.add(offset, static_cast<int32_t>(image.size()), crc32c(image), source_->label(sample), name);
    } else {
      shard.bad.push_back({sample, source_->path(sample), slot.bad});
    }
    ++shard.to;
    {
      const std::lock_guard lock(mutex_);
      slot.ready = false;
      written_ = shard.to;
    }
    to_prepare_.notify_all();
  }
  tar.finish();
  index.tar_bytes = shard.bytes = tar.size();
  index.to = shard.to;
  shard.samples = static_cast<int64_t>(index.samples.size());
  WrittenFile file(index_path);
  file.write(bytes_of(format_shard_index(index)));
  file.finish();
  return shard;
}

}  // namespace sknet::data
