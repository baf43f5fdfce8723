// A plugin's side of the border: its Api, of functions that a backend has.
#pragma once

#include <memory>
#include <string>

#include "plan/plan.h"
#include "plan/spec.h"
#include "plugin/api.h"

namespace sknet::plugin {

// What a plugin has to offer.
struct Backend {
  std::unique_ptr<plan::Plan> (*make_plan)(const plan::PlanSpec& spec, int device);
  plan::MemoryReport (*plan_memory)(const plan::PlanSpec& spec, int device);
  std::string (*make_rank_id)();  // of kRankIdBytes
  void (*devices)(DevicesData* to);
  void (*libraries)(void (*visit)(void* context, const LibraryData* library), void* context);
};

// To be called once: the plans of a plugin are all of one kind.
Api serve(const char* build, const Backend& backend);

}  // namespace sknet::plugin
