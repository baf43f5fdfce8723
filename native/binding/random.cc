#include "binding/random.h"

#include "binding/convert.h"
#include "binding/error.h"
#include "data/random_normal.h"

namespace sknet::binding {

namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

}  // namespace

void random_normal(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const Options options(info[1]);
    data::random_normal(static_cast<uint64_t>(options.integer("seed", 0, kMaxSafeInteger)), options.string("stream"), options.number("std"),
                        float32_span(info[0], "out"));
  });
}

}  // namespace sknet::binding
