// Walks over the files in a tar archive: ustar, GNU long names, pax, sizes in base 256. Nothing is ever unpacked, so names are only names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/open_file.h"

namespace sknet::data {

inline constexpr int64_t kTarBlock = 512;

struct TarEntry {
  std::string name;
  int64_t offset = 0;  // of the content
  int64_t size = 0;
};

class TarWalk {
 public:
  // `bytes` must outlive the walk.
  explicit TarWalk(const ByteReader& bytes) : bytes_(bytes) {}

  // The next regular file; false at the end. Folders and links are passed over and counted. Throws Error ERR_SKNET_DATA, without a path
  // but with the byte where it is: a header whose checksum is wrong, an entry that goes beyond the end, a sparse file.
  bool next(TarEntry& entry);
  int64_t passed_over() const { return passed_over_; }

 private:
  // What records before an entry say of it.
  struct Overrides {
    std::string name;
    int64_t size = -1;
  };
  bool read_header(std::vector<uint8_t>& header);
  std::string read_text(int64_t size, int64_t most, const char* what) const;
  void read_pax(std::string_view records, bool global, Overrides& overrides) const;
  void skip_content(int64_t size);
  [[noreturn]] void fail(const std::string& reason) const;

  const ByteReader& bytes_;
  int64_t position_ = 0;  // of the next header
  int64_t at_ = 0;        // of the header being looked at
  int64_t passed_over_ = 0;
};

// A ustar header for a regular file, the same bytes for the same arguments; names of at most 100 bytes.
std::vector<uint8_t> tar_header(const std::string& name, int64_t size);

// Bytes that fill up the last block of a content of `size` bytes.
inline int64_t tar_padding(int64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

}  // namespace sknet::data
