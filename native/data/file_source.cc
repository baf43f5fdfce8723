#include "data/file_source.h"

#include <chrono>
#include <utility>

#include "core/error.h"
#include "data/file.h"

namespace sknet::data {

namespace {

class FileSource final : public Source {
 public:
  FileSource(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels, int64_t listed_at_ms)
      : paths_(std::move(paths)), labels_(std::move(labels)), max_pixels_(max_pixels), listed_at_ms_(listed_at_ms) {}

  int64_t size() const override { return static_cast<int64_t>(paths_.size()); }
  int32_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  std::string path(int64_t index) const override { return paths_[static_cast<size_t>(index)]; }
  StoredImage read(int64_t index, std::vector<uint8_t>& buffer) const override {
    const FileFacts facts = read_file(paths_[static_cast<size_t>(index)], largest_file(max_pixels_), buffer);
    if (listed_at_ms_ > 0) check_unchanged(facts.modified_ms);
    return {buffer};
  }
  int64_t max_pixels() const override { return max_pixels_; }

 private:
  // A time still to come says that some clock is wrong, not that the file was written meanwhile.
  void check_unchanged(int64_t modified_ms) const {
    using std::chrono::system_clock;
    const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch()).count();
    if (modified_ms <= listed_at_ms_ || modified_ms > now_ms) return;
    throw Error("ERR_SKNET_DATA", "the file was changed after the data set was listed")
        .with_got("a file written later")
        .with_expected("files that stay as they are during a run");
  }

  const std::vector<std::string> paths_;
  const std::vector<int32_t> labels_;
  const int64_t max_pixels_, listed_at_ms_;
};

}  // namespace

std::unique_ptr<Source> make_file_source(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels,
                                         int64_t listed_at_ms) {
  check(paths.size() == labels.size(), "ERR_SKNET_NATIVE", "paths and labels must have the same length");
  return std::make_unique<FileSource>(std::move(paths), std::move(labels), max_pixels, listed_at_ms);
}

}  // namespace sknet::data
