// What the plugin exports.
#include "cuda/communicator.h"
#include "cuda/cuda_plan.h"
#include "cuda/device.h"
#include "cuda/libraries.h"
#include "plugin/serve.h"

namespace sknet::cuda {

namespace {

std::unique_ptr<plan::Plan> make_plan(const plan::PlanSpec& spec, int device) { return std::make_unique<CudaPlan>(spec, device); }

}  // namespace

}  // namespace sknet::cuda

extern "C" __attribute__((visibility("default"))) const sknet::plugin::Api* sknet_plugin_entry(uint32_t version) {
  using namespace sknet;
  if (version != plugin::kApiVersion) return nullptr;
  static const plugin::Api api = plugin::serve(SKNET_VERSION, {.make_plan = cuda::make_plan,
                                                               .plan_memory = cuda::cuda_plan_memory,
                                                               .make_rank_id = cuda::make_rank_id,
                                                               .devices = cuda::list_devices,
                                                               .libraries = cuda::list_libraries});
  return &api;
}
