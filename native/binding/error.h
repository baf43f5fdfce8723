// From C++ exceptions to JavaScript errors. Every entry point of the addon runs inside guard().
#pragma once

#include <napi.h>

#include <exception>

namespace sknet::binding {

// An Error with `code`, and of option, path, tensor, got, expected those that are set. sknet::Error keeps its code, std::bad_alloc becomes
// ERR_SKNET_OOM, every other exception ERR_SKNET_NATIVE. A Napi::Error is the JavaScript exception it already holds.
Napi::Error to_js_error(Napi::Env env, std::exception_ptr exception);

// Runs f and rethrows whatever it throws as a Napi::Error, which node-addon-api hands to JavaScript.
template <class F>
auto guard(Napi::Env env, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
}

// guard() for methods that return a promise: what f throws rejects it.
template <class F>
Napi::Value promised(Napi::Env env, const F& f) {
  try {
    return f();
  } catch (...) {
    const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_js_error(env, std::current_exception()).Value());
    return deferred.Promise();
  }
}

}  // namespace sknet::binding
