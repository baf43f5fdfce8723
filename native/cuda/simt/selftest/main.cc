// sknet_simt_selftest [--list | --list-crashes | TEST]: runs one test, or all that do not crash; a line "ok NAME" or "FAILED NAME: why"
// each; exit status 1 if one failed.
#include <cstring>

#include "cuda/simt/selftest/check.h"

namespace simt_test {
namespace {

std::string first_failure;

}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void fail(const std::string& what) {
  if (first_failure.empty()) first_failure = what;
}

static int run(const char* only) {
  int failed = 0, ran = 0;
  for (const Test& test : tests()) {
    if (only == nullptr ? test.crashes : strcmp(only, test.name) != 0) continue;
    first_failure.clear();
    test.run();
    ++ran;
    failed += !first_failure.empty();
    if (first_failure.empty()) {
      printf("ok %s\n", test.name);
    } else {
      printf("FAILED %s: %s\n", test.name, first_failure.c_str());
    }
    fflush(stdout);
  }
  if (ran == 0) printf("FAILED: there is no test %s\n", only == nullptr ? "" : only);
  return ran == 0 || failed != 0;
}

}  // namespace simt_test

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : nullptr;
  const bool crashes = what != nullptr && strcmp(what, "--list-crashes") == 0;
  if (crashes || (what != nullptr && strcmp(what, "--list") == 0)) {
    for (const simt_test::Test& test : simt_test::tests()) {
      if (test.crashes == crashes) printf("%s\n", test.name);
    }
    return 0;
  }
  return simt_test::run(what);
}
