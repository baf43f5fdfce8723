#include "data/shard_source.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "core/error.h"
#include "data/crc32c.h"
#include "data/file.h"
#include "data/npy.h"
#include "data/open_file.h"
#include "data/shard_index.h"
#include "data/shard_scan.h"

namespace sknet::data {

namespace {

constexpr size_t kOpenFiles = 64;
constexpr size_t kMostThreads = 8;
constexpr int64_t kChunkBytes = int64_t{4} << 20;

struct Shard {
  std::string path;
  ShardIndex index;
  int64_t modified_ns = 0;
  int64_t first = 0;  // index of its first sample in the data set
  std::string note;
};

// The shards read last, open; a data set may have more of them than a process may open files.
class OpenShards {
 public:
  std::shared_ptr<const OpenFile> get(const Shard& shard) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(open_.begin(), open_.end(), [&](const auto& entry) { return entry.first == &shard; });
    if (found != open_.end()) {
      open_.splice(open_.begin(), open_, found);
      return open_.front().second;
    }
    auto file = std::make_shared<const OpenFile>(shard.path);
    if (file->size() != shard.index.tar_bytes || file->modified_ns() != shard.modified_ns) {
      throw Error("ERR_SKNET_DATA", "the shard was changed after the data set was opened").with_expected("shards that stay as they are");
    }
    open_.emplace_front(&shard, file);
    if (open_.size() > kOpenFiles) open_.pop_back();
    return file;
  }

 private:
  std::mutex mutex_;
  std::list<std::pair<const Shard*, std::shared_ptr<const OpenFile>>> open_;
};

std::string in_words(int64_t count, const char* what) {
  return std::to_string(count) + (count == 1 ? " sample has no " : " samples have no ") + what;
}

ShardIndex scan(const OpenFile& file, std::string& note) {
  ShardScan scan = scan_shard(file);
  if (scan.without_class > 0) note = in_words(scan.without_class, "class (.cls)");
  if (scan.without_image > 0) note += (note.empty() ? "" : ", ") + in_words(scan.without_image, "picture");
  if (!note.empty()) note += "; left out";
  return std::move(scan.index);
}

ShardIndex read_index(const std::string& path, int64_t tar_bytes) {
  std::vector<uint8_t> text;
  read_file(path, kMostIndexBytes, text);
  ShardIndex index = parse_shard_index({reinterpret_cast<const char*>(text.data()), text.size()});
  if (index.tar_bytes != tar_bytes) {
    throw Error("ERR_SKNET_DATA", "the index is for a tar file of " + std::to_string(index.tar_bytes) + " bytes, but that has " +
                                      std::to_string(tar_bytes) + ": one of them is of another packing, or cut short")
        .with_got(std::to_string(tar_bytes) + " bytes")
        .with_expected(std::to_string(index.tar_bytes) + " bytes");
  }
  return index;
}

Shard open_shard(const ShardPath& path) {
  Shard shard;
  shard.path = path.tar;
  const std::string* at = &path.tar;
  try {
    const OpenFile file(path.tar);
    shard.modified_ns = file.modified_ns();
    if (path.index.empty()) {
      shard.index = scan(file, shard.note);
    } else {
      at = &path.index;
      shard.index = read_index(path.index, file.size());
    }
  } catch (const Error& e) {
    throw Error(e.code, *at + ": " + e.what()).with_path(*at).with_got(e.got).with_expected(e.expected);
  }
  return shard;
}

std::vector<Shard> open_all(const std::vector<ShardPath>& paths) {
  std::vector<Shard> shards(paths.size());
  std::vector<std::exception_ptr> failures(paths.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < paths.size(); i = next++) {
      try {
        shards[i] = open_shard(paths[i]);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  try {
    while (threads.size() + 1 < std::min(kMostThreads, paths.size())) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer threads then.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return shards;
}

class ShardSource final : public Source {
 public:
  ShardSource(std::vector<Shard> shards, int64_t max_pixels) : shards_(std::move(shards)), max_pixels_(max_pixels) {
    for (Shard& shard : shards_) {
      shard.first = size_;
      size_ += static_cast<int64_t>(shard.index.samples.size());
      cut_into_chunks(shard);
    }
  }

  int64_t size() const override { return size_; }
  int32_t label(int64_t index) const override { return sample_of(index).label; }
  std::string path(int64_t index) const override {
    const Shard& shard = shard_of(index);
    return shard.path + ": " + std::string(shard.index.name(static_cast<size_t>(index - shard.first)));
  }
  StoredImage read(int64_t index, std::vector<uint8_t>& buffer) const override {
    const Shard& shard = shard_of(index);
    const ShardSample& sample = sample_of(index);
    if (const int64_t most = largest_file(max_pixels_); sample.size > most) {
      throw Error("ERR_SKNET_DATA",
                  "the picture has " + std::to_string(sample.size) + " bytes, at most " + std::to_string(most) + " are read");
    }
    const std::shared_ptr<const OpenFile> file = open_.get(shard);
    buffer.resize(static_cast<size_t>(sample.size));
    if (file->read(sample.offset, buffer) < buffer.size())
      throw Error("ERR_SKNET_DATA", "the shard became shorter: the picture is not all there");
    if (shard.index.has_crc) {
      check_crc(buffer, sample.crc);
    } else if (!file->unchanged()) {
      throw Error("ERR_SKNET_DATA", "the shard was written to after the data set was opened");
    }
    const std::string_view name = shard.index.name(static_cast<size_t>(index - shard.first));
    if (shard_image(split_shard_name(name).extension) == ShardImage::kArray) return parse_npy(buffer, max_pixels_);
    return {buffer};
  }
  int64_t max_pixels() const override { return max_pixels_; }

  std::vector<Chunk> chunks() const override { return chunks_; }
  void read_ahead(size_t chunk) const override {
    const int64_t first = chunks_[chunk].first;
    try {
      open_.get(shard_of(first))->read_ahead(sample_of(first).offset, chunks_[chunk].bytes);
    } catch (const Error&) {
      // Reading the samples will say what is wrong.
    }
  }
  std::vector<std::string> notes() const override {
    std::vector<std::string> notes;
    for (const Shard& shard : shards_) {
      if (!shard.note.empty()) notes.push_back(shard.path + ": " + shard.note);
    }
    return notes;
  }

 private:
  static void check_crc(std::span<const uint8_t> bytes, uint32_t stored) {
    const uint32_t found = crc32c(bytes);
    if (found == stored) return;
    char text[120];
    std::snprintf(text, sizeof(text), "the bytes are not those that were packed: their checksum is %08x, the index has %08x", found,
                  stored);
    throw Error("ERR_SKNET_DATA", text);
  }

  // A chunk never goes from one shard into the next.
  void cut_into_chunks(const Shard& shard) {
    const std::vector<ShardSample>& samples = shard.index.samples;
    for (size_t i = 0; i < samples.size(); ++i) {
      const int64_t end = samples[i].offset + samples[i].size;
      if (i == 0 || end - samples[static_cast<size_t>(chunks_.back().first - shard.first)].offset > kChunkBytes) {
        chunks_.push_back({shard.first + static_cast<int64_t>(i), 0});
      }
      Chunk& chunk = chunks_.back();
      chunk.bytes = end - samples[static_cast<size_t>(chunk.first - shard.first)].offset;
    }
  }
  const Shard& shard_of(int64_t index) const {
    const auto after = std::upper_bound(shards_.begin(), shards_.end(), index, [](int64_t i, const Shard& s) { return i < s.first; });
    return *(after - 1);
  }
  const ShardSample& sample_of(int64_t index) const {
    const Shard& shard = shard_of(index);
    return shard.index.samples[static_cast<size_t>(index - shard.first)];
  }

  std::vector<Shard> shards_;
  const int64_t max_pixels_;
  int64_t size_ = 0;
  std::vector<Chunk> chunks_;
  mutable OpenShards open_;
};

}  // namespace

std::unique_ptr<Source> make_shard_source(const std::vector<ShardPath>& paths, int64_t max_pixels) {
  check(!paths.empty(), "ERR_SKNET_NATIVE", "shards need at least one path");
  auto source = std::make_unique<ShardSource>(open_all(paths), max_pixels);
  if (source->size() == 0) {
    const std::vector<std::string> notes = source->notes();
    const std::string found = notes.empty() ? "no samples" : "no whole sample";
    throw Error("ERR_SKNET_DATA", (notes.empty() ? paths.front().tar + ": found no samples" : notes.front()) +
                                      "; expected files KEY.jpg, KEY.jpeg, KEY.png or KEY.npy, each with a KEY.cls")
        .with_path(paths.front().tar)
        .with_got(found)
        .with_expected("KEY.jpg, KEY.jpeg, KEY.png or KEY.npy, each with a KEY.cls");
  }
  return source;
}

}  // namespace sknet::data
