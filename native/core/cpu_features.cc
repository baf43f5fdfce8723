#include "core/cpu_features.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "core/error.h"

namespace sknet {

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAmxBf16:
      return "amx_bf16";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kPortable:
      break;
  }
  return "portable";
}

namespace {

#if defined(__x86_64__)
// Linux hands out the tiles' state, eight kilobytes a thread, to processes that ask for it (Documentation/arch/x86/xstate.rst).
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_amx() {
  if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-bf16")) return false;
  static const bool granted = ask_for_tiles();
  return granted;
}
#endif

}  // namespace

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx2 && avx512 && __builtin_cpu_supports("avx512bf16")) return has_amx() ? Isa::kAmxBf16 : Isa::kAvx512Bf16;
  if (avx2 && avx512) return Isa::kAvx512;
  if (avx2) return Isa::kAvx2;
#endif
  return Isa::kPortable;
}

Isa isa_from_name(const std::string& name, const std::string& option) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmxBf16}) {
    if (name != isa_name(isa)) continue;
    if (static_cast<int>(isa) <= static_cast<int>(best_isa())) return isa;
    throw Error("ERR_SKNET_OPTION", option + ": this CPU does not have " + name)
        .with_option(option)
        .with_got(name)
        .with_expected(std::string("at most ") + isa_name(best_isa()));
  }
  throw Error("ERR_SKNET_OPTION", option + ": unknown instruction set '" + name + "'")
      .with_option(option)
      .with_got(name)
      .with_expected("portable, avx2, avx512, avx512_bf16 or amx_bf16");
}

Isa isa_in_use() {
  const char* forced = std::getenv("SKNET_ISA");
  return forced != nullptr && *forced != '\0' ? isa_from_name(forced, "SKNET_ISA") : best_isa();
}

int available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : static_cast<int>(n);
}

std::vector<std::string> cpu_feature_names() {
  std::vector<std::string> names;
#if defined(__x86_64__)
  __builtin_cpu_init();
#define SKNET_FEATURE(name) \
  if (__builtin_cpu_supports(name)) names.emplace_back(name)
  SKNET_FEATURE("sse4.2");
  SKNET_FEATURE("avx");
  SKNET_FEATURE("avx2");
  SKNET_FEATURE("fma");
  SKNET_FEATURE("avx512f");
  SKNET_FEATURE("avx512bw");
  SKNET_FEATURE("avx512dq");
  SKNET_FEATURE("avx512vl");
  SKNET_FEATURE("avx512bf16");
  SKNET_FEATURE("amx-tile");
  SKNET_FEATURE("amx-bf16");
#undef SKNET_FEATURE
#endif
  return names;
}

}  // namespace sknet
