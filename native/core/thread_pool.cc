#include "core/thread_pool.h"

#include <sched.h>

#include <thread>
#include <vector>

namespace sknet {

namespace {

// Long enough to bridge the gap between two ops of a step, short enough not to burn a core while the caller waits for data.
constexpr int kSpins = 4000;
constexpr int kYieldEvery = 512;

void relax(int spin) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
  if (spin % kYieldEvery == kYieldEvery - 1) sched_yield();
}

}  // namespace

struct ThreadPool::State {
  alignas(64) std::atomic<uint32_t> generation{0};
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint32_t> busy{0};
  std::atomic<bool> stop{false};
  int64_t n = 0;
  Task task = nullptr;
  void* context = nullptr;
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int threads) : threads_(threads < 1 ? 1 : threads), state_(std::make_unique<State>()) {
  for (int i = 1; i < threads_; ++i) state_->workers.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true);
  state_->generation.fetch_add(1);
  state_->generation.notify_all();
  for (std::thread& t : state_->workers) t.join();
}

void ThreadPool::drain(int thread) {
  State& s = *state_;
  for (int64_t i = s.next.fetch_add(1); i < s.n; i = s.next.fetch_add(1)) s.task(s.context, i, thread);
}

void ThreadPool::work(int thread) {
  State& s = *state_;
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && s.generation.load(std::memory_order_acquire) == seen; ++spin) relax(spin);
    s.generation.wait(seen, std::memory_order_acquire);
    seen = s.generation.load(std::memory_order_acquire);
    if (s.stop.load()) return;
    drain(thread);
    if (s.busy.fetch_sub(1, std::memory_order_acq_rel) == 1) s.busy.notify_one();
  }
}

void ThreadPool::run(int64_t n, Task task, void* context) {
  if (threads_ == 1 || n <= 1) {
    for (int64_t i = 0; i < n; ++i) task(context, i, 0);
    return;
  }
  State& s = *state_;
  s.n = n;
  s.task = task;
  s.context = context;
  s.next.store(0, std::memory_order_relaxed);
  s.busy.store(static_cast<uint32_t>(threads_ - 1), std::memory_order_relaxed);
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();
  drain(0);
  for (int spin = 0; spin < kSpins && s.busy.load(std::memory_order_acquire) != 0; ++spin) relax(spin);
  for (uint32_t left = s.busy.load(std::memory_order_acquire); left != 0; left = s.busy.load(std::memory_order_acquire)) {
    s.busy.wait(left, std::memory_order_acquire);
  }
}

}  // namespace sknet
