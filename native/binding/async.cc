#include "binding/async.h"

#include <algorithm>
#include <string>
#include <utility>

#include "binding/addon_data.h"
#include "binding/error.h"
#include "core/cpu_features.h"
#include "core/error.h"

namespace sknet::binding {

namespace {

// Calls in flight are one per object, so this many means a leak in the caller.
constexpr size_t kMaxLongThreads = 512;
constexpr int kMaxShortThreads = 4;

}  // namespace

struct AsyncRunner::Call {
  AsyncCall body;
  std::vector<Napi::ObjectReference> keep_alive;
  napi_deferred deferred = nullptr;
  std::exception_ptr failure;
};

AsyncRunner::AsyncRunner(Napi::Env env) {
  long_.max_threads = kMaxLongThreads;
  short_.max_threads = static_cast<size_t>(std::min(available_threads(), kMaxShortThreads));
  const napi_value name = Napi::String::New(env, "sknet");
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, &AsyncRunner::on_done, &notify_);
  if (status != napi_ok) throw Napi::Error::New(env, "sknet: no thread-safe function could be made");
  napi_unref_threadsafe_function(env, notify_);
}

AsyncRunner::~AsyncRunner() { shutdown(); }

Napi::Promise AsyncRunner::start(Napi::Env env, AsyncCall body) {
  auto call = std::make_unique<Call>();
  for (const Napi::Object& object : body.keep_alive) call->keep_alive.push_back(Napi::Persistent(object));
  body.keep_alive.clear();
  call->body = std::move(body);
  Call* raw = call.get();
  calls_.push_back(std::move(call));
  Pool& pool = raw->body.lane == Lane::kLong ? long_ : short_;
  napi_value promise = nullptr;
  try {
    const std::lock_guard lock(mutex_);
    if (stopping_) throw Error("ERR_SKNET_DISPOSED", "the JavaScript environment is being torn down");
    pool.waiting.push_back(raw);
    if (pool.idle < pool.waiting.size() && pool.threads.size() < pool.max_threads) {
      try {
        pool.threads.emplace_back([this, &pool] { work(pool); });
      } catch (const std::exception&) {
        // No further thread to be had: with others there the call waits for one of them, with none it cannot run.
        if (pool.threads.empty()) {
          pool.waiting.pop_back();
          throw;
        }
      }
    }
    // Under the lock, so that the call cannot finish before it has a promise.
    if (napi_create_promise(env, &raw->deferred, &promise) != napi_ok) {
      pool.waiting.pop_back();
      throw Error("ERR_SKNET_NATIVE", "no promise could be made");
    }
  } catch (...) {
    if (raw->body.settled) raw->body.settled();
    calls_.pop_back();
    throw;
  }
  if (calls_.size() == 1) napi_ref_threadsafe_function(env, notify_);
  pool.wake.notify_one();
  return Napi::Promise(env, promise);
}

void AsyncRunner::work(Pool& pool) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++pool.idle;
    pool.wake.wait(lock, [&] { return stopping_ || !pool.waiting.empty(); });
    --pool.idle;
    if (stopping_) return;
    Call* call = pool.waiting.front();
    pool.waiting.pop_front();
    lock.unlock();
    try {
      call->body.work();
    } catch (...) {
      call->failure = std::current_exception();
    }
    lock.lock();
    if (stopping_) return;
    done_.push_back(call);
    // Under the lock: shutdown() takes it before the function can be closed.
    napi_call_threadsafe_function(notify_, nullptr, napi_tsfn_nonblocking);
  }
}

void AsyncRunner::on_done(napi_env env, napi_value, void* context, void*) {
  // Without an environment this is the queue being emptied at teardown; shutdown() has dealt with the calls.
  if (env != nullptr) static_cast<AsyncRunner*>(context)->settle_finished(env);
}

void AsyncRunner::settle_finished(Napi::Env env) {
  std::vector<Call*> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(done_);
  }
  for (Call* raw : finished) {
    const Napi::HandleScope scope(env);
    const auto found = std::find_if(calls_.begin(), calls_.end(), [raw](const std::unique_ptr<Call>& c) { return c.get() == raw; });
    const std::unique_ptr<Call> call = std::move(*found);
    calls_.erase(found);
    // While a Worker is being terminated every step here may fail; nothing may leave this C callback as an exception.
    try {
      if (call->body.settled) call->body.settled();
      if (call->failure) {
        napi_reject_deferred(env, call->deferred, to_js_error(env, call->failure).Value());
      } else {
        const Napi::Value value = call->body.finish(env);
        napi_resolve_deferred(env, call->deferred, value);
      }
    } catch (...) {
      try {
        napi_reject_deferred(env, call->deferred, to_js_error(env, std::current_exception()).Value());
      } catch (...) {
        // The environment no longer runs JavaScript; nobody waits for the promise.
      }
    }
  }
  if (!finished.empty() && calls_.empty()) napi_unref_threadsafe_function(env, notify_);
}

void AsyncRunner::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  for (const auto& call : calls_) {
    if (call->body.cancel) call->body.cancel();
  }
  for (Pool* pool : {&long_, &short_}) {
    pool->wake.notify_all();
    for (std::thread& thread : pool->threads) thread.join();
    pool->threads.clear();
  }
  done_.clear();
  calls_.clear();
}

Napi::Promise run_async(Napi::Env env, AsyncCall call) { return AddonData::from(env).runner().start(env, std::move(call)); }

void InFlight::enter(const char* method) {
  if (method_ != nullptr) {
    throw Error("ERR_SKNET_BUSY", std::string(method) + "() was called while " + method_ + "() is still running on this object")
        .with_got(std::string(method_) + "() in flight")
        .with_expected("one call at a time");
  }
  method_ = method;
}

}  // namespace sknet::binding
