// JavaScript values to C++ and back, checked. lib/ has validated what people write; a mismatch here is a fault of lib/ and throws
// Error ERR_SKNET_NATIVE with the option's path.
#pragma once

#include <napi.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sknet::binding {

// Reads the fields of an options object. `path` goes in front of field names in errors: Options(value, "transform").number("pad")
// complains about transform.pad. A field that is absent or undefined is an error unless has() was asked first.
class Options {
 public:
  explicit Options(const Napi::Value& value, std::string path = "");

  bool has(const char* name) const;
  double number(const char* name) const;  // finite
  int64_t integer(const char* name, int64_t min, int64_t max) const;
  int32_t int32(const char* name, int32_t min, int32_t max) const { return static_cast<int32_t>(integer(name, min, max)); }
  bool boolean(const char* name) const;
  std::string string(const char* name) const;
  std::vector<std::string> strings(const char* name) const;
  std::vector<double> numbers(const char* name, size_t count) const;
  Options object(const char* name) const;
  std::vector<Options> objects(const char* name) const;
  Napi::Value value(const char* name) const;  // as it is

  // Views of typed arrays, valid while the caller's JS frame is: copy what must live longer.
  std::span<const float> float32(const char* name) const;
  std::span<const double> float64(const char* name) const;
  std::span<const int32_t> int32_array(const char* name) const;
  std::span<const uint8_t> uint8(const char* name) const;

  // "transform.pad": the path of a field, for errors.
  std::string path_of(const char* name) const;

 private:
  Napi::Object object_;
  std::string path_;
};

// The memory of a typed array argument; `name` is used in errors. Refuses other types and detached buffers (unless the array is empty).
std::span<float> float32_span(const Napi::Value& value, const std::string& name);
std::span<double> float64_span(const Napi::Value& value, const std::string& name);
std::span<int32_t> int32_span(const Napi::Value& value, const std::string& name);
std::span<uint8_t> uint8_span(const Napi::Value& value, const std::string& name);

// Argument `index` of a call as a number, integer or string; `name` is used in errors.
double number_argument(const Napi::CallbackInfo& info, size_t index, const char* name);
int64_t integer_argument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min, int64_t max);
std::string string_argument(const Napi::CallbackInfo& info, size_t index, const char* name);

// Vectors to typed arrays. Large ones are handed over without a copy where the host allows external memory (Electron does not).
Napi::Float32Array to_float32_array(Napi::Env env, std::vector<float> data);
Napi::Float64Array to_float64_array(Napi::Env env, std::vector<double> data);
Napi::Int32Array to_int32_array(Napi::Env env, std::vector<int32_t> data);
Napi::Uint8Array to_uint8_array(Napi::Env env, std::vector<uint8_t> data);

}  // namespace sknet::binding
