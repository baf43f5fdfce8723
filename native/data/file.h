// Whole files into memory, safe against what may lie under a picture's name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sknet::data {

// Reads a regular file into `out` (whose memory is reused). Directories, FIFOs and devices are refused without blocking. Throws Error
// ERR_SKNET_DATA with the path (the message itself does not repeat it) when it cannot be read or has more than max_bytes.
void read_file(const std::string& path, int64_t max_bytes, std::vector<uint8_t>& out);

}  // namespace sknet::data
