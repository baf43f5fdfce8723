// A file being written from its beginning to its end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sknet::data {

// Errors are thrown as Error ERR_SKNET_DATA with the path.
class WrittenFile {
 public:
  // Empties a file that is there.
  explicit WrittenFile(std::string path);
  ~WrittenFile();
  WrittenFile(const WrittenFile&) = delete;
  WrittenFile& operator=(const WrittenFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  int64_t size() const { return size_; }
  // Until this returns, nothing is known to have reached the disk.
  void finish();

 private:
  void flush();
  [[noreturn]] void fail(int error) const;

  const std::string path_;
  int fd_;
  int64_t size_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace sknet::data
