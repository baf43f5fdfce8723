// sknet_simt_selftest [--list | --list-crashes | TEST]: runs one test, or all that do not crash; a line "ok NAME", with the number of cases
// where they are counted, or "FAILED NAME: why" each; exit status 1 if one failed.
#include <cstring>
#include <map>

#include "cuda/simt/selftest/check.h"

namespace simt_test {
namespace {

std::string first_failure;

struct Cases {
  std::string name, refusal;
  int ran = 0, refused = 0;
};
std::map<const void*, Cases> cases;  // of the running test

// Fails the test where one that it is about ran nothing; returns what to print of the others.
std::string settle_cases() {
  int ran = 0, refused = 0;
  for (const auto& [what, each] : cases) {
    if (each.ran == 0) fail(each.name + " ran in no case: " + each.refusal);
    ran += each.ran;
    refused += each.refused;
  }
  if (cases.empty()) return "";
  return ": " + std::to_string(ran) + " cases" + (refused == 0 ? "" : ", " + std::to_string(refused) + " refused");
}

}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void fail(const std::string& what) {
  if (first_failure.empty()) first_failure = what;
}

void count_case(const void* what, const std::string& name, const char* refusal) {
  Cases& counted = cases[what];
  counted.name = name;
  if (refusal == nullptr) {
    ++counted.ran;
  } else {
    ++counted.refused;
    counted.refusal = refusal;
  }
}

static int run(const char* only) {
  int failed = 0, ran = 0;
  for (const Test& test : tests()) {
    if (only == nullptr ? test.crashes : strcmp(only, test.name) != 0) continue;
    first_failure.clear();
    cases.clear();
    test.run();
    const std::string counts = settle_cases();
    ++ran;
    failed += !first_failure.empty();
    if (first_failure.empty()) {
      printf("ok %s%s\n", test.name, counts.c_str());
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
