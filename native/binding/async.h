// Promises for native work. Work runs on threads of this environment's own, so training never takes a libuv thread from fs or crypto.
//
// A worker thread hands a finished call back through one thread-safe function that carries no data: the call stays in the runner's list.
// At environment teardown (worker.terminate(), end of the main thread) shutdown() cancels what runs, joins every thread and only then
// lets go of the calls; after that no thread knows the environment.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sknet::binding {

// kLong: may take seconds or wait for something; gets a thread at once. kShort: computes for milliseconds; queues for one of a few threads.
enum class Lane { kLong, kShort };

struct AsyncCall {
  Lane lane = Lane::kLong;
  // Runs on a native thread; must not touch napi. An exception rejects the promise.
  std::function<void()> work;
  // Optional. Runs on the JS thread after `work`, whether that failed or not, before the promise settles: to clear a busy mark. Runs too
  // when the call could not be started.
  std::function<void()> settled;
  // Runs on the JS thread when `work` succeeded: the value of the promise.
  std::function<Napi::Value(Napi::Env)> finish;
  // Optional. Called on the JS thread at environment teardown while `work` may be running: makes it end soon. Must not throw or block.
  std::function<void()> cancel;
  // Objects that must outlive the call (the wrapper whose native part `work` uses, arrays it reads).
  std::vector<Napi::Object> keep_alive;
};

// Starts the call. JS thread only. All of the call's closures are destroyed on the JS thread.
Napi::Promise run_async(Napi::Env env, AsyncCall call);

class AsyncRunner {
 public:
  explicit AsyncRunner(Napi::Env env);
  ~AsyncRunner();
  AsyncRunner(const AsyncRunner&) = delete;
  AsyncRunner& operator=(const AsyncRunner&) = delete;

  Napi::Promise start(Napi::Env env, AsyncCall call);
  // Ends everything; idempotent.
  void shutdown();

 private:
  struct Call;
  struct Pool {
    size_t max_threads = 0;
    size_t idle = 0;
    std::deque<Call*> waiting;
    std::vector<std::thread> threads;
    std::condition_variable wake;
  };

  static void on_done(napi_env env, napi_value callback, void* context, void* data);
  void work(Pool& pool);
  void settle_finished(Napi::Env env);

  napi_threadsafe_function notify_ = nullptr;
  std::vector<std::unique_ptr<Call>> calls_;  // JS thread only
  std::mutex mutex_;                          // guards all below
  bool stopping_ = false;
  std::vector<Call*> done_;
  Pool long_, short_;
};

// The rule "one call in flight per object": enter() before run_async, leave() in `settled`. JS thread only.
class InFlight {
 public:
  // Throws Error ERR_SKNET_BUSY naming `method` and the running one.
  void enter(const char* method);
  void leave() { method_ = nullptr; }
  bool busy() const { return method_ != nullptr; }

 private:
  const char* method_ = nullptr;
};

}  // namespace sknet::binding
