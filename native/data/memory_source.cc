#include "data/memory_source.h"

#include <string>
#include <utility>

#include "core/error.h"

namespace sknet::data {

namespace {

class MemorySource final : public Source {
 public:
  MemorySource(std::vector<uint8_t> images, std::vector<int32_t> labels, int height, int width)
      : images_(std::move(images)), labels_(std::move(labels)), height_(height), width_(width) {}

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int32_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  std::string path(int64_t index) const override { return "image " + std::to_string(index) + " in memory"; }
  StoredImage read(int64_t index, std::vector<uint8_t>&) const override {
    const size_t bytes = size_t{3} * static_cast<size_t>(height_) * static_cast<size_t>(width_);
    return {std::span(images_).subspan(static_cast<size_t>(index) * bytes, bytes), width_, height_};
  }

 private:
  const std::vector<uint8_t> images_;
  const std::vector<int32_t> labels_;
  const int height_, width_;
};

}  // namespace

std::unique_ptr<Source> make_memory_source(std::vector<uint8_t> images, std::vector<int32_t> labels, int height, int width) {
  check(images.size() == labels.size() * static_cast<size_t>(height) * static_cast<size_t>(width) * 3, "ERR_SKNET_NATIVE",
        "images must hold labels.length x height x width x 3 bytes");
  return std::make_unique<MemorySource>(std::move(images), std::move(labels), height, width);
}

}  // namespace sknet::data
