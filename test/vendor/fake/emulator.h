// What a made library needs of the emulated device: its streams take work, and only such work can touch its memory.
#pragma once

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace sknet::fake {

using Submit = int (*)(void* stream, void (*work)(void* data), void* data);

// The emulator of the program, or of the plugin that is loaded into it.
inline Submit find_submit() {
  constexpr const char* kName = "sknet_simt_submit";
  if (void* own = dlsym(RTLD_DEFAULT, kName)) return reinterpret_cast<Submit>(own);
  std::string path;
  const auto look = [](dl_phdr_info* info, size_t, void* to) {
    if (std::strstr(info->dlpi_name, "sknet_cuda_emulated.so") == nullptr) return 0;
    *static_cast<std::string*>(to) = info->dlpi_name;
    return 1;
  };
  dl_iterate_phdr(look, &path);
  void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  return plugin == nullptr ? nullptr : reinterpret_cast<Submit>(dlsym(plugin, kName));
}

// False where the stream takes none. The work may be replayed, so it is kept for good.
inline bool submit(void* stream, std::function<void()> work) {
  static const Submit call = find_submit();
  if (call == nullptr) return false;
  auto* kept = new std::function<void()>(std::move(work));
  return call(stream, [](void* data) { (*static_cast<std::function<void()>*>(data))(); }, kept) == 0;
}

// What this library shall do: "refuse" or "fail" from SKNET_FAKE_LIBRARY, else what it is asked for.
inline bool told_to(const char* what) {
  const char* text = std::getenv("SKNET_FAKE_LIBRARY");
  return text != nullptr && std::strcmp(text, what) == 0;
}

// A number in memory, float32 or bfloat16.
inline double load(const void* p, int64_t i, bool bf16) {
  if (!bf16) return static_cast<const float*>(p)[i];
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(p)[i]) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline void store(void* p, int64_t i, bool bf16, double number) {
  const float value = static_cast<float>(number);
  if (!bf16) {
    static_cast<float*>(p)[i] = value;
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  bits += 0x7fff + (bits >> 16 & 1);  // to the nearest, ties to even
  static_cast<uint16_t*>(p)[i] = static_cast<uint16_t>(bits >> 16);
}

}  // namespace sknet::fake
