// From a sample of a source to what a shard stores of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"
#include "data/resize.h"
#include "data/source.h"

namespace sknet::data {

// kOriginal: the file's bytes as they are, once they have proved to decode. kJpeg: decoded, resized, encoded anew. kRaw: .npy of the
// resized pixels.
enum class PackMode { kOriginal, kJpeg, kRaw };

struct PackImageOptions {
  PackMode mode = PackMode::kOriginal;
  // Shorter side in pixels, of pictures that are larger (Pillow's bilinear filter); 0: no resizing. Not for kOriginal.
  int short_side = 0;
  int quality = 90;
};

// Working memory of one thread.
struct PackScratch {
  std::vector<uint8_t> stored;
  Image image, resized;
  Resizer resizer;
};

struct PackedImage {
  std::vector<uint8_t> bytes;
  const char* extension = "";
};

// Throws Error ERR_SKNET_DECODE or ERR_SKNET_DATA, without a path, for a sample that cannot be read or, in kOriginal, is no file.
void pack_image(const Source& source, int64_t index, const PackImageOptions& options, PackScratch& scratch, PackedImage& out);

}  // namespace sknet::data
