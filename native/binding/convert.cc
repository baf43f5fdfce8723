#include "binding/convert.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "core/error.h"

namespace sknet::binding {

namespace {

// From here on, handing the memory over is cheaper than copying it on the JS thread.
constexpr size_t kExternalBytes = size_t{1} << 20;

std::string describe(const Napi::Value& value) {
  if (value.IsEmpty() || value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsTypedArray()) return "another typed array";
  if (value.IsArray()) return "an array";
  if (value.IsNumber() || value.IsBoolean()) return value.ToString().Utf8Value();
  if (value.IsString()) return '"' + value.As<Napi::String>().Utf8Value() + '"';
  if (value.IsFunction()) return "a function";
  if (value.IsObject()) return "an object";
  return "a value of another type";
}

Error mismatch(const std::string& name, const Napi::Value& value, const std::string& expected) {
  const std::string got = describe(value);
  return Error("ERR_SKNET_NATIVE", name + ": expected " + expected + ", got " + got)
      .with_option(name)
      .with_got(got)
      .with_expected(expected);
}

double to_number(const Napi::Value& value, const std::string& name) {
  if (!value.IsNumber()) throw mismatch(name, value, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number)) throw mismatch(name, value, "a finite number");
  return number;
}

int64_t to_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max) {
  const double number = to_number(value, name);
  if (number != std::floor(number) || number < static_cast<double>(min) || number > static_cast<double>(max)) {
    throw mismatch(name, value, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return static_cast<int64_t>(number);
}

std::string to_string(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) throw mismatch(name, value, "a string");
  return value.As<Napi::String>().Utf8Value();
}

template <class T>
std::span<T> typed_span(const Napi::Value& value, const std::string& name, napi_typedarray_type type, const char* expected) {
  if (!value.IsTypedArray()) throw mismatch(name, value, expected);
  napi_typedarray_type found;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &found, &length, &data, nullptr, nullptr) != napi_ok || found != type) {
    throw mismatch(name, value, expected);
  }
  if (data == nullptr && length != 0) throw mismatch(name, value, std::string(expected) + " whose buffer is not detached");
  return {static_cast<T*>(data), length};
}

template <class T>
Napi::ArrayBuffer to_array_buffer(Napi::Env env, std::vector<T> data) {
  const size_t bytes = data.size() * sizeof(T);
  if (bytes >= kExternalBytes) {
    auto owner = std::make_unique<std::vector<T>>(std::move(data));
    napi_value buffer = nullptr;
    const auto free_owner = [](napi_env, void*, void* hint) { delete static_cast<std::vector<T>*>(hint); };
    if (napi_create_external_arraybuffer(env, owner->data(), bytes, free_owner, owner.get(), &buffer) == napi_ok) {
      owner.release();
      return Napi::ArrayBuffer(env, buffer);
    }
    data = std::move(*owner);
  }
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes != 0) std::memcpy(buffer.Data(), data.data(), bytes);
  return buffer;
}

}  // namespace

Options::Options(const Napi::Value& value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsArray()) throw mismatch(path_.empty() ? "options" : path_, value, "an object");
  object_ = value.As<Napi::Object>();
}

std::string Options::path_of(const char* name) const { return path_.empty() ? std::string(name) : path_ + "." + name; }

Napi::Value Options::value(const char* name) const { return object_.Get(name); }

bool Options::has(const char* name) const {
  const Napi::Value found = value(name);
  return !found.IsUndefined() && !found.IsNull();
}

double Options::number(const char* name) const { return to_number(value(name), path_of(name)); }

int64_t Options::integer(const char* name, int64_t min, int64_t max) const { return to_integer(value(name), path_of(name), min, max); }

bool Options::boolean(const char* name) const {
  const Napi::Value found = value(name);
  if (!found.IsBoolean()) throw mismatch(path_of(name), found, "true or false");
  return found.As<Napi::Boolean>().Value();
}

std::string Options::string(const char* name) const { return to_string(value(name), path_of(name)); }

std::vector<std::string> Options::strings(const char* name) const {
  const Napi::Value found = value(name);
  if (!found.IsArray()) throw mismatch(path_of(name), found, "an array of strings");
  const auto array = found.As<Napi::Array>();
  std::vector<std::string> result;
  result.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    // A scope an element: a data set may list a million paths.
    const Napi::HandleScope scope(found.Env());
    result.push_back(to_string(array.Get(i), path_of(name) + "[" + std::to_string(i) + "]"));
  }
  return result;
}

std::vector<double> Options::numbers(const char* name, size_t count) const {
  const Napi::Value found = value(name);
  const std::string expected = "an array of " + std::to_string(count) + " numbers";
  if (!found.IsArray() || found.As<Napi::Array>().Length() != count) throw mismatch(path_of(name), found, expected);
  const auto array = found.As<Napi::Array>();
  std::vector<double> result;
  for (uint32_t i = 0; i < count; ++i) result.push_back(to_number(array.Get(i), path_of(name) + "[" + std::to_string(i) + "]"));
  return result;
}

Options Options::object(const char* name) const { return Options(value(name), path_of(name)); }

std::vector<Options> Options::objects(const char* name) const {
  const Napi::Value found = value(name);
  if (!found.IsArray()) throw mismatch(path_of(name), found, "an array of objects");
  const auto array = found.As<Napi::Array>();
  std::vector<Options> result;
  result.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) result.emplace_back(array.Get(i), path_of(name) + "[" + std::to_string(i) + "]");
  return result;
}

std::span<const float> Options::float32(const char* name) const { return float32_span(value(name), path_of(name)); }
std::span<const double> Options::float64(const char* name) const { return float64_span(value(name), path_of(name)); }
std::span<const int32_t> Options::int32_array(const char* name) const { return int32_span(value(name), path_of(name)); }
std::span<const uint8_t> Options::uint8(const char* name) const { return uint8_span(value(name), path_of(name)); }

std::span<float> float32_span(const Napi::Value& value, const std::string& name) {
  return typed_span<float>(value, name, napi_float32_array, "a Float32Array");
}
std::span<double> float64_span(const Napi::Value& value, const std::string& name) {
  return typed_span<double>(value, name, napi_float64_array, "a Float64Array");
}
std::span<int32_t> int32_span(const Napi::Value& value, const std::string& name) {
  return typed_span<int32_t>(value, name, napi_int32_array, "an Int32Array");
}
std::span<uint8_t> uint8_span(const Napi::Value& value, const std::string& name) {
  return typed_span<uint8_t>(value, name, napi_uint8_array, "a Uint8Array");
}

double number_argument(const Napi::CallbackInfo& info, size_t index, const char* name) { return to_number(info[index], name); }

int64_t integer_argument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min, int64_t max) {
  return to_integer(info[index], name, min, max);
}

std::string string_argument(const Napi::CallbackInfo& info, size_t index, const char* name) { return to_string(info[index], name); }

Napi::Float32Array to_float32_array(Napi::Env env, std::vector<float> data) {
  const size_t n = data.size();
  return Napi::Float32Array::New(env, n, to_array_buffer(env, std::move(data)), 0);
}

Napi::Float64Array to_float64_array(Napi::Env env, std::vector<double> data) {
  const size_t n = data.size();
  return Napi::Float64Array::New(env, n, to_array_buffer(env, std::move(data)), 0);
}

Napi::Int32Array to_int32_array(Napi::Env env, std::vector<int32_t> data) {
  const size_t n = data.size();
  return Napi::Int32Array::New(env, n, to_array_buffer(env, std::move(data)), 0);
}

Napi::Uint8Array to_uint8_array(Napi::Env env, std::vector<uint8_t> data) {
  const size_t n = data.size();
  return Napi::Uint8Array::New(env, n, to_array_buffer(env, std::move(data)), 0);
}

}  // namespace sknet::binding
