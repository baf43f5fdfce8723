// CIFAR-10 and CIFAR-100 in their binary form: records of 1 or 2 label bytes and 3072 pixel bytes (32 x 32, planes R, G, B).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace sknet::data {

// Reads the files (any whole number of records each) into memory, in the order given. label_byte says which label byte counts (CIFAR-100:
// 0 coarse, 1 fine). Throws Error ERR_SKNET_DATA with path, got and expected when a file is missing, empty or of another size.
std::unique_ptr<Source> make_cifar_source(const std::vector<std::string>& files, int label_bytes, int label_byte);

}  // namespace sknet::data
