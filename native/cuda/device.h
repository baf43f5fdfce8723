// The devices of this machine, and whether plans can run on them.
#pragma once

#include "plugin/api.h"

namespace sknet::cuda {

void list_devices(plugin::DevicesData* to);
// Makes it the calling thread's device and returns it. Throws Error ERR_SKNET_DEVICE saying what is missing.
int use_device(int device);

}  // namespace sknet::cuda
