#include "data/file.h"

#include "core/error.h"
#include "data/open_file.h"

namespace sknet::data {

FileFacts read_file(const std::string& path, int64_t max_bytes, std::vector<uint8_t>& out) {
  const OpenFile file(path);
  if (file.size() > max_bytes) {
    throw Error("ERR_SKNET_DATA",
                "the file has " + std::to_string(file.size()) + " bytes, at most " + std::to_string(max_bytes) + " are read")
        .with_path(path)
        .with_got(std::to_string(file.size()) + " bytes")
        .with_expected("at most " + std::to_string(max_bytes) + " bytes");
  }
  out.resize(static_cast<size_t>(file.size()));
  // Shorter than a moment ago: it is being written to. What is there decides.
  out.resize(file.read(0, out));
  return {file.modified_ns() / 1'000'000};
}

}  // namespace sknet::data
