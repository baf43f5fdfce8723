#include "data/file_source.h"

#include <utility>

#include "core/error.h"
#include "data/decode.h"
#include "data/file.h"

namespace sknet::data {

namespace {

// 16-bit RGBA, not compressed at all: no sensible picture file is larger.
constexpr int64_t kMaxBytesPerPixel = 8;
constexpr int64_t kMaxHeaderBytes = 1 << 20;

class FileSource final : public Source {
 public:
  FileSource(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels)
      : paths_(std::move(paths)), labels_(std::move(labels)), max_pixels_(max_pixels) {}

  int64_t size() const override { return static_cast<int64_t>(paths_.size()); }
  int32_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  std::string path(int64_t index) const override { return paths_[static_cast<size_t>(index)]; }
  void decode(int64_t index, Image& out, std::vector<uint8_t>& file_buffer) const override {
    read_file(paths_[static_cast<size_t>(index)], max_pixels_ * kMaxBytesPerPixel + kMaxHeaderBytes, file_buffer);
    decode_image(file_buffer, max_pixels_, out);
  }

 private:
  const std::vector<std::string> paths_;
  const std::vector<int32_t> labels_;
  const int64_t max_pixels_;
};

}  // namespace

std::unique_ptr<Source> make_file_source(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels) {
  check(paths.size() == labels.size(), "ERR_SKNET_NATIVE", "paths and labels must have the same length");
  return std::make_unique<FileSource>(std::move(paths), std::move(labels), max_pixels);
}

}  // namespace sknet::data
