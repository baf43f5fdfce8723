#include "data/written_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace sknet::data {

namespace {

constexpr size_t kBuffer = size_t{1} << 20;

}  // namespace

WrittenFile::WrittenFile(std::string path)
    : path_(std::move(path)), fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (fd_ < 0) fail(errno);
  buffer_.reserve(kBuffer);
}

WrittenFile::~WrittenFile() {
  if (fd_ >= 0) close(fd_);
}

void WrittenFile::fail(int error) const {
  const std::string reason = std::system_category().message(error);
  throw Error("ERR_SKNET_DATA", path_ + " cannot be written: " + reason)
      .with_path(path_)
      .with_got(reason)
      .with_expected("a place to write to");
}

void WrittenFile::write(std::span<const uint8_t> bytes) {
  size_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const std::span<const uint8_t> piece = bytes.first(std::min(bytes.size(), kBuffer - buffer_.size()));
    buffer_.insert(buffer_.end(), piece.begin(), piece.end());
    bytes = bytes.subspan(piece.size());
    if (buffer_.size() == kBuffer) flush();
  }
}

void WrittenFile::flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t count = ::write(fd_, buffer_.data() + at, buffer_.size() - at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(errno);
    at += static_cast<size_t>(count);
  }
  buffer_.clear();
}

void WrittenFile::finish() {
  flush();
  if (fsync(fd_) != 0) fail(errno);
  const int fd = std::exchange(fd_, -1);
  if (close(fd) != 0) fail(errno);
}

}  // namespace sknet::data
