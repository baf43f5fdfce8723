// The plan's own threads. Work is handed out by index, so which thread runs an index never matters to the result: an index writes
// its own outputs, and reductions over indices are done afterwards in index order (DESIGN 3, determinism).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace sknet {

class ThreadPool {
 public:
  using Task = void (*)(void* context, int64_t index, int thread);

  // `threads` including the caller; threads - 1 are started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }
  // Calls task(context, i, thread) for every i in [0, n), returns when all are done. Tasks must not throw. One caller at a time.
  void run(int64_t n, Task task, void* context);

 private:
  struct State;
  void work(int thread);
  void drain(int thread);

  const int threads_;
  std::unique_ptr<State> state_;
};

namespace {

// parallel_for(pool, n, [&](int64_t i, int thread) { ... }); internal linkage, so that code built for one instruction set is never
// shared with another's.
template <class F>
inline void parallel_for(ThreadPool& pool, int64_t n, const F& f) {
  pool.run(
      n, [](void* context, int64_t index, int thread) { (*static_cast<const F*>(context))(index, thread); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace

}  // namespace sknet
