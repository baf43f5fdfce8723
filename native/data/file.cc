#include "data/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace sknet::data {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

Error failure(const std::string& path, const char* what, int error) {
  const std::string reason = std::system_category().message(error);
  return Error("ERR_SKNET_DATA", std::string(what) + ": " + reason).with_path(path).with_got(reason).with_expected("a readable file");
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

FileFacts read_file(const std::string& path, int64_t max_bytes, std::vector<uint8_t>& out) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) throw failure(path, "cannot open the file", errno);
  // statx and not fstat, whose symbol would ask for glibc 2.33.
  struct statx status{};
  if (statx(file.get(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE | STATX_MTIME, &status) != 0)
    throw failure(path, "cannot read the file", errno);
  if (!S_ISREG(status.stx_mode)) {
    const std::string found = kind_of(status.stx_mode);
    throw Error("ERR_SKNET_DATA", "found " + found + ", expected a regular file")
        .with_path(path)
        .with_got(found)
        .with_expected("a regular file");
  }
  if (status.stx_size > static_cast<uint64_t>(max_bytes)) {
    throw Error("ERR_SKNET_DATA",
                "the file has " + std::to_string(status.stx_size) + " bytes, at most " + std::to_string(max_bytes) + " are read")
        .with_path(path)
        .with_got(std::to_string(status.stx_size) + " bytes")
        .with_expected("at most " + std::to_string(max_bytes) + " bytes");
  }
  out.resize(static_cast<size_t>(status.stx_size));
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count = read(file.get(), out.data() + filled, out.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failure(path, "cannot read the file", errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  // Shorter than a moment ago: it is being written to. What is there decides.
  out.resize(filled);
  return {status.stx_mtime.tv_sec * 1000 + status.stx_mtime.tv_nsec / 1'000'000};
}

}  // namespace sknet::data
