// CRC-32C (Castagnoli), the checksum of samples in shards.
#pragma once

#include <cstdint>
#include <span>

namespace sknet::data {

// Of `bytes`, or of what `before` is the checksum of followed by `bytes`. Uses the CPU's instruction where it has one.
uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t before = 0);

}  // namespace sknet::data
