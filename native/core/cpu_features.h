// Which instruction set the CPU kernels run in: chosen from what the CPU has, forced by SKNET_ISA.
#pragma once

#include <string>
#include <vector>

namespace sknet {

// Each has what the ones before it have.
enum class Isa { kPortable = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3, kAmxBf16 = 4 };
constexpr int kIsaCount = 5;

const char* isa_name(Isa isa);
// Throws Error ERR_SKNET_OPTION for an unknown name or one this CPU does not have.
Isa isa_from_name(const std::string& name, const std::string& option);

// The best one this CPU and its operating system support. The first call asks the system to let this process use the tiles of AMX.
Isa best_isa();
// best_isa(), or what the environment variable SKNET_ISA names.
Isa isa_in_use();

// CPU threads this process may run on (its affinity mask), at least 1.
int available_threads();

// Names of the instruction-set extensions that matter here.
std::vector<std::string> cpu_feature_names();

}  // namespace sknet
