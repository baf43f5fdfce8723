#include "cuda/simt/emulated/launch.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>

#include "core/thread_pool.h"

namespace simt {
namespace {

struct Emulator {
  std::mutex mutex;  // one grid at a time
  Settings settings;
  std::unique_ptr<sknet::ThreadPool> pool;
  std::vector<std::unique_ptr<Block>> blocks;  // one a thread
  std::string death;
};

Settings from_environment() {
  Settings s;
  if (const char* threads = getenv("SKNET_SIMT_THREADS")) s.threads = atoi(threads);
  const char* schedule = getenv("SKNET_SIMT_SCHEDULE");
  if (schedule == nullptr) return s;
  if (strcmp(schedule, "down") == 0) s.schedule = Schedule::kDown;
  if (strncmp(schedule, "random", 6) == 0) s.schedule = Schedule::kRandom;
  if (strncmp(schedule, "random:", 7) == 0) s.seed = static_cast<uint32_t>(strtoul(schedule + 7, nullptr, 10));
  return s;
}

// Never destroyed: its threads may outlive static destruction.
Emulator& emulator() {
  static Emulator* const e = new Emulator{.mutex = {}, .settings = from_environment(), .pool = {}, .blocks = {}, .death = {}};
  return *e;
}

uint32_t mix(uint64_t v) {
  v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
  v = (v ^ v >> 27) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>(v >> 32);
}

// The order in which the blocks of a grid start.
std::vector<uint32_t> block_order(const Settings& s, int64_t count) {
  std::vector<uint32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0u);
  if (s.schedule == Schedule::kDown) std::reverse(order.begin(), order.end());
  if (s.schedule == Schedule::kRandom) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[mix(s.seed + i) % i]);
  }
  return order;
}

}  // namespace

Settings settings() {
  Emulator& e = emulator();
  const std::lock_guard lock(e.mutex);
  return e.settings;
}

void set_settings(const Settings& settings) {
  Emulator& e = emulator();
  const std::lock_guard lock(e.mutex);
  e.settings = settings;
}

std::string last_death() {
  Emulator& e = emulator();
  const std::lock_guard lock(e.mutex);
  return e.death;
}

bool run_grid(const Launch& launch) {
  Emulator& e = emulator();
  const std::lock_guard lock(e.mutex);
  const int threads = e.settings.threads > 0 ? e.settings.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (e.pool == nullptr || e.pool->threads() != threads) {
    e.blocks.clear();
    e.pool = std::make_unique<sknet::ThreadPool>(threads);
    for (int i = 0; i < threads; ++i) e.blocks.push_back(std::make_unique<Block>());
  }
  const dim3& grid = launch.grid;
  const std::vector<uint32_t> order = block_order(e.settings, static_cast<int64_t>(grid.x) * grid.y * grid.z);
  std::vector<char> begun(static_cast<size_t>(threads));
  std::mutex death_mutex;
  std::atomic<bool> dead{false};
  uint32_t first_dead = ~0u;
  sknet::parallel_for(*e.pool, static_cast<int64_t>(order.size()), [&](int64_t turn, int thread) {
    if (dead.load(std::memory_order_relaxed)) return;
    Block& block = *e.blocks[static_cast<size_t>(thread)];
    char& began = begun[static_cast<size_t>(thread)];
    if (!began) block.begin(launch, e.settings);
    began = 1;
    const uint32_t index = order[static_cast<size_t>(turn)];
    if (block.run({index % grid.x, index / grid.x % grid.y, index / (grid.x * grid.y)}, mix(e.settings.seed + index))) return;
    dead.store(true, std::memory_order_relaxed);
    const std::lock_guard death_lock(death_mutex);
    if (index > first_dead) return;
    first_dead = index;
    e.death = block.death();
  });
  for (size_t i = 0; i < begun.size(); ++i) {
    if (begun[i]) e.blocks[i]->end();
  }
  if (dead.load()) fprintf(stderr, "simt: %s\n", e.death.c_str());
  return !dead.load();
}

}  // namespace simt
