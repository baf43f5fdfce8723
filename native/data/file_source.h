// A list of picture files with a label each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace sknet::data {

// Files are opened when their sample is asked for; one that has gone or does not decode by then is that sample's error.
std::unique_ptr<Source> make_file_source(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels);

}  // namespace sknet::data
