#include "data/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace sknet::data {

namespace {

Error failure(const char* what, int error) {
  const std::string reason = std::system_category().message(error);
  return Error("ERR_SKNET_DATA", std::string(what) + ": " + reason).with_got(reason).with_expected("a readable file");
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// statx and not fstat, whose symbol would ask for glibc 2.33. Returns 0 or the error.
int status_of(int fd, struct statx& status) {
  return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE | STATX_MTIME, &status) == 0 ? 0 : errno;
}

int64_t nanoseconds(const struct statx& status) { return status.stx_mtime.tv_sec * 1'000'000'000 + status.stx_mtime.tv_nsec; }

}  // namespace

// O_NONBLOCK: opening a FIFO must not wait for a writer.
OpenFile::OpenFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  if (fd_ < 0) throw failure("cannot open the file", errno).with_path(path);
  struct statx status{};
  if (const int error = status_of(fd_, status); error != 0) {
    close(fd_);
    throw failure("cannot read the file", error).with_path(path);
  }
  if (!S_ISREG(status.stx_mode)) {
    close(fd_);
    const std::string found = kind_of(status.stx_mode);
    throw Error("ERR_SKNET_DATA", "found " + found + ", expected a regular file")
        .with_path(path)
        .with_got(found)
        .with_expected("a regular file");
  }
  size_ = static_cast<int64_t>(status.stx_size);
  modified_ns_ = nanoseconds(status);
}

OpenFile::~OpenFile() { close(fd_); }

size_t OpenFile::read(int64_t offset, std::span<uint8_t> out) const {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count = pread(fd_, out.data() + filled, out.size() - filled, offset + static_cast<int64_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failure("cannot read the file", errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return filled;
}

bool OpenFile::unchanged() const {
  struct statx status{};
  return status_of(fd_, status) == 0 && static_cast<int64_t>(status.stx_size) == size_ && nanoseconds(status) == modified_ns_;
}

void OpenFile::read_ahead(int64_t offset, int64_t bytes) const { posix_fadvise(fd_, offset, bytes, POSIX_FADV_WILLNEED); }

}  // namespace sknet::data
