// A list of picture files with a label each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace sknet::data {

// listed_at_ms: when the paths were listed, in milliseconds since 1970; a file written after that is its sample's error. 0: not checked.
// Files are opened when their sample is asked for; one that has gone or does not decode by then is that sample's error.
std::unique_ptr<Source> make_file_source(std::vector<std::string> paths, std::vector<int32_t> labels, int64_t max_pixels,
                                         int64_t listed_at_ms);

}  // namespace sknet::data
