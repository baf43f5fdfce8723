// binding.d.ts PlanOptions -> plan::PlanSpec.
#pragma once

#include "binding/convert.h"
#include "plan/spec.h"

namespace sknet::binding {

plan::PlanSpec plan_spec(const Options& options);

}  // namespace sknet::binding
