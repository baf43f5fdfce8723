// What the addon exports: binding.d.ts, entry by entry.
#include <napi.h>

#include "binding/addon_data.h"
#include "binding/cpu_info.h"
#include "binding/devices.h"
#include "binding/error.h"
#include "binding/image.h"
#include "binding/loader.h"
#include "binding/open_plan.h"
#include "binding/pack.h"
#include "binding/plan.h"
#include "binding/random.h"
#include "binding/source.h"

namespace sknet::binding {

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  return guard(env, [&] {
    AddonData::create(env);
    exports.Set("version", SKNET_VERSION);
    exports.Set("cpuInfo", Napi::Function::New(env, cpu_info, "cpuInfo"));
    exports.Set("makeRankId", Napi::Function::New(env, make_rank_id, "makeRankId"));
    exports.Set("plugin", Napi::Function::New(env, plugin_report, "plugin"));
    exports.Set("randomNormal", Napi::Function::New(env, random_normal, "randomNormal"));
    exports.Set("decodeImage", Napi::Function::New(env, decode_image, "decodeImage"));
    exports.Set("openPlan", Napi::Function::New(env, open_plan, "openPlan"));
    exports.Set("planMemory", Napi::Function::New(env, plan_memory, "planMemory"));
    exports.Set("openSource", Napi::Function::New(env, open_source, "openSource"));
    exports.Set("verifyShard", Napi::Function::New(env, verify_shard, "verifyShard"));
    exports.Set("Packer", PackerObject::define(env));
    exports.Set("Plan", PlanObject::define(env));
    exports.Set("Source", SourceObject::define(env));
    exports.Set("Loader", LoaderObject::define(env));
    return exports;
  });
}

NODE_API_MODULE(sknet, init)

}  // namespace

}  // namespace sknet::binding
