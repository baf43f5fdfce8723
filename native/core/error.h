// Failures of the core. Thrown as Error inside native/, turned into a JavaScript error with the same fields in native/binding/.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace sknet {

// `code` is one of lib/errors.ts's codes; the other fields are empty where they do not apply.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code(std::move(code)) {}

  Error& with_option(std::string value) { return option = std::move(value), *this; }
  Error& with_path(std::string value) { return path = std::move(value), *this; }
  Error& with_tensor(std::string value) { return tensor = std::move(value), *this; }
  Error& with_got(std::string value) { return got = std::move(value), *this; }
  Error& with_expected(std::string value) { return expected = std::move(value), *this; }

  std::string code, option, path, tensor, got, expected;
};

// For invariants: a message that names what was violated.
inline void check(bool ok, const char* code, const std::string& message) {
  if (!ok) throw Error(code, message);
}

}  // namespace sknet
