// Switching between the stacks of one OS thread, known to AddressSanitizer.
#pragma once

#include <cstddef>

namespace simt {

struct Context {
  void* stack_pointer = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
  const char* bottom = nullptr;
  size_t size = 0;
};

constexpr size_t kStackBytes = 64 * 1024;

// A new stack with a page below it that must not be touched; freed with free_stack.
char* new_stack();
void free_stack(char* stack);

// Makes `context` start at `entry` when it is first switched to. entry must call entered() first and must never return. `slot` staggers
// the stacks' tops, which would otherwise share a set of the L1 cache. `abandoned`: the stack's last user did not run to its end.
void prepare(Context& context, char* stack, void (*entry)(), int slot, bool abandoned);
void entered(Context& self, Context& from);
// Leaves `from` for `to`; returns when somebody switches back. `last`: nobody will.
void switch_to(Context& from, Context& to, bool last);

}  // namespace simt
