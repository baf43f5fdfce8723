#include "binding/error.h"

#include <new>
#include <string>

#include "core/error.h"

namespace sknet::binding {

namespace {

Napi::Error make(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", code);
  return error;
}

void set_if_any(const Napi::Error& error, const char* name, const std::string& value) {
  if (!value.empty()) error.Value().Set(name, value);
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Napi::Error& e) {
    return e;
  } catch (const Error& e) {
    Napi::Error error = make(env, e.code.c_str(), e.what());
    set_if_any(error, "option", e.option);
    set_if_any(error, "path", e.path);
    set_if_any(error, "tensor", e.tensor);
    set_if_any(error, "got", e.got);
    set_if_any(error, "expected", e.expected);
    return error;
  } catch (const std::bad_alloc&) {
    return make(env, "ERR_SKNET_OOM", "out of memory");
  } catch (const std::exception& e) {
    return make(env, "ERR_SKNET_NATIVE", e.what());
  } catch (...) {
    return make(env, "ERR_SKNET_NATIVE", "unknown native exception");
  }
}

}  // namespace sknet::binding
