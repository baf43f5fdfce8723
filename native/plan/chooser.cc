#include "plan/chooser.h"

namespace sknet::plan {

Chooser& registry_order() {
  static Chooser chooser;
  return chooser;
}

}  // namespace sknet::plan
