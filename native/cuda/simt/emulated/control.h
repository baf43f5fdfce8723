// What tests turn on the emulated device: the order in which lanes run, the device's size, failures. All process-wide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace simt {

enum class Schedule { kUp, kDown, kRandom };

struct Settings {
  Schedule schedule = Schedule::kUp;  // of lanes, and of the blocks of a grid
  uint32_t seed = 1;                  // of kRandom
  int threads = 0;                    // that share the blocks; 0: one a core
};

// From the environment at first use: SKNET_SIMT_SCHEDULE=up|down|random|random:SEED, SKNET_SIMT_THREADS=N.
Settings settings();
void set_settings(const Settings& settings);

// What the last kernel died of, or nothing: kernel, block, reason. A death is also printed to stderr.
std::string last_death();

struct DeviceSettings {
  int count = 1;
  int driver_version = 13000;  // 0: there is no driver
  size_t bytes = size_t{8} << 30;
  int major = 9, minor = 0;  // compute capability
};

// From the environment at first use: SKNET_SIMT_DRIVER=none|old|no-device, SKNET_SIMT_MEMORY=BYTES, SKNET_SIMT_CAPABILITY=MAJOR.MINOR,
// SKNET_SIMT_FAIL=CALL:ERROR[:AFTER] (fail_call), "launch" for kernel launches.
DeviceSettings device_settings();
void set_device_settings(const DeviceSettings& settings);

// The call `name` fails with the CUDA error number `error` once, after `after` calls that do not.
void fail_call(const std::string& name, int error, int after = 0);

// Makes a device usable again after a kernel died on it: drops the work that is left, and forgets failures that are still to come.
void repair_device();

size_t device_bytes_in_use();

}  // namespace simt
