#include "binding/addon_data.h"

namespace sknet::binding {

AddonData& AddonData::create(Napi::Env env) {
  auto* data = new AddonData(env);
  env.SetInstanceData<AddonData>(data);
  // Hooks run last in, first out: this one comes after the runner's thread-safe function was made, so it runs before that is closed.
  napi_add_env_cleanup_hook(env, &AddonData::at_teardown, data);
  return *data;
}

AddonData& AddonData::from(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

void AddonData::at_teardown(void* data) { static_cast<AddonData*>(data)->runner_->shutdown(); }

}  // namespace sknet::binding
