// A plugin's side of the border: an Api whose plans are those that `make` builds.
#pragma once

#include <memory>
#include <string>

#include "plan/plan.h"
#include "plan/spec.h"
#include "plugin/api.h"

namespace sknet::plugin {

using MakePlan = std::unique_ptr<plan::Plan> (*)(const plan::PlanSpec& spec, int device);

// Of kRankIdBytes.
using MakeRankId = std::string (*)();

using Libraries = void (*)(void (*visit)(void* context, const LibraryData* library), void* context);

// Everything but `devices` and `libraries` is filled in. To be called once: the plans of a plugin are all of one kind.
Api serve(const char* build, MakePlan make, MakeRankId rank_id, void (*devices)(DevicesData* to), Libraries libraries);

}  // namespace sknet::plugin
