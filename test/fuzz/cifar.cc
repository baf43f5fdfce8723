// CIFAR files in whatever state: an error, or as many records as they have room for.
#include "data/cifar.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte says how the rest is to be read.
  const int label_bytes = 1 + data[0] % 2, label_byte = data[0] / 2 % label_bytes;
  const int file = memfd_create("cifar", 0);
  if (file < 0 || write(file, data + 1, size - 1) != static_cast<ssize_t>(size - 1)) __builtin_trap();
  try {
    const auto source = sknet::data::make_cifar_source({"/proc/self/fd/" + std::to_string(file)}, label_bytes, label_byte);
    if (source->size() * (3072 + label_bytes) != static_cast<int64_t>(size - 1)) __builtin_trap();
    std::vector<uint8_t> buffer;
    int64_t sum = 0;
    for (int64_t i = 0; i < source->size(); ++i) {
      const sknet::data::StoredImage image = source->read(i, buffer);
      if (image.bytes.size() != 3072) __builtin_trap();
      for (const uint8_t byte : image.bytes) sum += byte;
      sum += source->label(i) + static_cast<int64_t>(source->path(i).size());
    }
    if (sum < 0) __builtin_trap();
  } catch (const sknet::Error&) {
  }
  close(file);
  return 0;
}
