#include "data/cifar.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/file.h"

namespace sknet::data {

namespace {

constexpr int kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kMaxBytes = int64_t{1} << 33;

struct File {
  std::string path;
  std::vector<uint8_t> bytes;
  int64_t first;  // index of its first record
};

class CifarSource final : public Source {
 public:
  CifarSource(const std::vector<std::string>& paths, int label_bytes, int label_byte)
      : record_bytes_(label_bytes + 3 * kPlane), label_bytes_(label_bytes), label_byte_(label_byte) {
    for (const std::string& path : paths) add(path);
  }

  int64_t size() const override { return size_; }
  int32_t label(int64_t index) const override { return record(index)[label_byte_]; }
  std::string path(int64_t index) const override {
    const File& file = file_of(index);
    return file.path + " record " + std::to_string(index - file.first);
  }
  StoredImage read(int64_t index, std::vector<uint8_t>& buffer) const override {
    const uint8_t* planes = record(index) + label_bytes_;
    buffer.resize(3 * kPlane);
    for (int64_t i = 0; i < kPlane; ++i) {
      for (int64_t c = 0; c < 3; ++c) buffer[static_cast<size_t>(3 * i + c)] = planes[c * kPlane + i];
    }
    return {buffer, kSide, kSide};
  }

 private:
  void add(const std::string& path) {
    File file{path, {}, size_};
    try {
      read_file(path, kMaxBytes, file.bytes);
    } catch (const Error& e) {
      throw Error(e.code, path + ": " + e.what()).with_path(path).with_got(e.got).with_expected(e.expected);
    }
    const int64_t bytes = static_cast<int64_t>(file.bytes.size());
    if (bytes == 0 || bytes % record_bytes_ != 0) {
      const std::string expected = "a whole number of records of " + std::to_string(record_bytes_) + " bytes";
      const std::string got = std::to_string(bytes) + " bytes";
      throw Error("ERR_SKNET_DATA", path + ": not a CIFAR file: got " + got + ", expected " + expected)
          .with_path(path)
          .with_got(got)
          .with_expected(expected);
    }
    size_ += bytes / record_bytes_;
    files_.push_back(std::move(file));
  }

  const File& file_of(int64_t index) const {
    const auto after = std::upper_bound(files_.begin(), files_.end(), index, [](int64_t i, const File& f) { return i < f.first; });
    return *(after - 1);
  }
  const uint8_t* record(int64_t index) const {
    const File& file = file_of(index);
    return file.bytes.data() + (index - file.first) * record_bytes_;
  }

  const int64_t record_bytes_;
  const int label_bytes_, label_byte_;
  std::vector<File> files_;
  int64_t size_ = 0;
};

}  // namespace

std::unique_ptr<Source> make_cifar_source(const std::vector<std::string>& files, int label_bytes, int label_byte) {
  check(label_bytes >= 1 && label_byte >= 0 && label_byte < label_bytes, "ERR_SKNET_NATIVE", "labelByte must be one of the label bytes");
  return std::make_unique<CifarSource>(files, label_bytes, label_byte);
}

}  // namespace sknet::data
