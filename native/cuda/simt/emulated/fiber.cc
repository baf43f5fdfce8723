#include "cuda/simt/emulated/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "the kernels' emulator switches stacks on x86-64 only"
#endif

// Saves what a callee must keep, swaps the stack pointer, restores.
extern "C" void simt_switch(void** save, void* next) __attribute__((visibility("hidden")));
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
.type simt_switch,@function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch,.-simt_switch
)");

namespace simt {
namespace {

constexpr size_t kGuard = 4096;
constexpr int kSaved = 6;               // registers of simt_switch
constexpr uintptr_t kTopSpread = 4096;  // over which the tops are staggered

}  // namespace

char* new_stack() {
  void* memory = mmap(nullptr, kGuard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuard, PROT_NONE);
  return static_cast<char*>(memory) + kGuard;
}

void free_stack(char* stack) { munmap(stack - kGuard, kGuard + kStackBytes); }

void prepare(Context& context, char* stack, void (*entry)(), int slot, [[maybe_unused]] bool abandoned) {
  context = {nullptr, nullptr, stack, kStackBytes};
#if defined(__SANITIZE_ADDRESS__)
  // The frames under the entry never returned, so they are still poisoned; after an abandoned lane any part may be.
  const size_t used = abandoned ? kStackBytes : 2 * kTopSpread;
  __asan_unpoison_memory_region(stack + kStackBytes - used, used);
#endif
  const uintptr_t top =
      reinterpret_cast<uintptr_t>(stack) + kStackBytes - 128 - (static_cast<uintptr_t>(slot) * 320 % kTopSpread & ~uintptr_t{63});
  void** frame = reinterpret_cast<void**>(top) - kSaved - 2;  // at the entry's first instruction rsp is 8 below a multiple of 16
  for (int i = 0; i < kSaved; ++i) frame[i] = nullptr;
  frame[kSaved] = reinterpret_cast<void*>(entry);
  context.stack_pointer = frame;
}

void entered([[maybe_unused]] Context& self, [[maybe_unused]] Context& from) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &size);
  if (from.bottom == nullptr) {  // the thread's own stack is first told here
    from.bottom = static_cast<const char*>(bottom);
    from.size = size;
  }
#endif
}

void switch_to(Context& from, Context& to, [[maybe_unused]] bool last) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.bottom, to.size);
  simt_switch(&from.stack_pointer, to.stack_pointer);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#else
  simt_switch(&from.stack_pointer, to.stack_pointer);
#endif
}

}  // namespace simt
