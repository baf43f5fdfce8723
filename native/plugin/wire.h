// Between the core's types and the border's (api.h), in both directions.
#pragma once

#include <memory>

#include "core/error.h"
#include "plan/memory.h"
#include "plan/spec.h"
#include "plugin/api.h"

namespace sknet::plugin {

// A spec as data, which points into `spec` and into memory of its own.
class SpecOnWire {
 public:
  explicit SpecOnWire(const plan::PlanSpec& spec);
  ~SpecOnWire();
  SpecOnWire(const SpecOnWire&) = delete;
  SpecOnWire& operator=(const SpecOnWire&) = delete;

  const SpecData& data() const { return data_; }

 private:
  struct Storage;
  std::unique_ptr<Storage> storage_;
  SpecData data_{};
};

plan::PlanSpec spec_from(const SpecData& data);

// The exception being handled, as a failure.
void describe_exception(Failure& failure);
[[noreturn]] void throw_failure(const Failure& failure);

}  // namespace sknet::plugin
