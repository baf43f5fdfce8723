// Whole files into memory, safe against what may lie under a picture's name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sknet::data {

struct FileFacts {
  int64_t modified_ms;  // milliseconds since 1970
};

// Reads a regular file into `out` (whose memory is reused). Directories, FIFOs and devices are refused without blocking. Throws Error
// ERR_SKNET_DATA with the path (the message itself does not repeat it) when it cannot be read or has more than max_bytes.
FileFacts read_file(const std::string& path, int64_t max_bytes, std::vector<uint8_t>& out);

// Bytes of the largest file that may sensibly hold a picture of max_pixels: 16-bit RGBA, not compressed at all, and a header.
inline int64_t largest_file(int64_t max_pixels) { return max_pixels * 8 + (1 << 20); }

}  // namespace sknet::data
