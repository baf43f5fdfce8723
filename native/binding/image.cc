#include "binding/image.h"

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "binding/async.h"
#include "binding/convert.h"
#include "binding/error.h"
#include "data/decode.h"

namespace sknet::binding {

Napi::Value decode_image(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const std::span<const uint8_t> bytes = uint8_span(info[0], "data");
    const int64_t max_pixels = Options(info[1]).integer("maxPixels", 1, std::numeric_limits<int32_t>::max());
    const auto file = std::make_shared<std::vector<uint8_t>>(bytes.begin(), bytes.end());
    const auto image = std::make_shared<data::Image>();
    AsyncCall call;
    call.lane = Lane::kShort;
    call.work = [file, image, max_pixels] { data::decode_image(*file, max_pixels, *image); };
    call.finish = [image](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("data", to_uint8_array(e, std::move(image->rgb)));
      result.Set("width", image->width);
      result.Set("height", image->height);
      return result;
    };
    return run_async(env, std::move(call));
  });
}

}  // namespace sknet::binding
