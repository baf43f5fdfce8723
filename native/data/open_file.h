// A regular file opened for reading at any place.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sknet::data {

// Bytes that can be read at any place: a file, or memory in tests and fuzzers.
class ByteReader {
 public:
  virtual ~ByteReader() = default;
  virtual int64_t size() const = 0;
  // Fills `out` from `offset` on; returns how many bytes there were. Throws Error ERR_SKNET_DATA, without a path, when reading fails.
  virtual size_t read(int64_t offset, std::span<uint8_t> out) const = 0;
};

// Any number of threads may read from one.
class OpenFile final : public ByteReader {
 public:
  // Directories, FIFOs and devices are refused without blocking. Throws Error ERR_SKNET_DATA with the path; the message does not repeat it.
  explicit OpenFile(const std::string& path);
  ~OpenFile() override;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int64_t size() const override { return size_; }
  size_t read(int64_t offset, std::span<uint8_t> out) const override;
  // As it was when the file was opened, in nanoseconds since 1970.
  int64_t modified_ns() const { return modified_ns_; }
  // false once size or time stamp are others than when it was opened.
  bool unchanged() const;
  // Asks the system to read these bytes soon; returns at once.
  void read_ahead(int64_t offset, int64_t bytes) const;

 private:
  int fd_;
  int64_t size_ = 0, modified_ns_ = 0;
};

}  // namespace sknet::data
