// Lets an addon that was built on a newer glibc load on glibc 2.28 and later (what Node 20 itself asks for).
//
// glibc gives a function a new symbol version when it changes or moves between libraries, and a linker binds to the newest one. The
// definitions below are hidden, come before libc in the link and either jump to an old version, which every later glibc still exports,
// or replace the function by older means. They also serve the static libstdc++, libgcc and CUDA runtime, which ask for the newer glibc.
// `npm run check:glibc` fails when something newer slips in. Only in portable builds (SKNET_PORTABLE), x86-64.
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>

#ifndef __x86_64__
#error "native/portable is written for x86-64"
#endif

// Each in its own section, so that --gc-sections keeps only those in use.
// clang-format off
#define OLD_VERSION(name, version)                             \
  asm(".symver old_" #name "," #name "@GLIBC_" version "\n"    \
      ".pushsection .text." #name ",\"ax\",@progbits\n"        \
      ".globl " #name "\n"                                     \
      ".hidden " #name "\n"                                    \
      ".type " #name ",@function\n"                            \
      #name ": jmp *old_" #name "@GOTPCREL(%rip)\n"            \
      ".size " #name ",.-" #name "\n"                          \
      ".popsection");
// clang-format on

// Moved from libpthread to libc in 2.34.
OLD_VERSION(__pthread_key_create, "2.2.5")
OLD_VERSION(pthread_condattr_setpshared, "2.2.5")
OLD_VERSION(pthread_create, "2.2.5")
OLD_VERSION(pthread_detach, "2.2.5")
OLD_VERSION(pthread_getaffinity_np, "2.3.4")
OLD_VERSION(pthread_getspecific, "2.2.5")
OLD_VERSION(pthread_join, "2.2.5")
OLD_VERSION(pthread_key_create, "2.2.5")
OLD_VERSION(pthread_key_delete, "2.2.5")
OLD_VERSION(pthread_kill, "2.2.5")
OLD_VERSION(pthread_mutex_timedlock, "2.2.5")
OLD_VERSION(pthread_mutex_trylock, "2.2.5")
OLD_VERSION(pthread_mutexattr_destroy, "2.2.5")
OLD_VERSION(pthread_mutexattr_init, "2.2.5")
OLD_VERSION(pthread_mutexattr_setpshared, "2.2.5")
OLD_VERSION(pthread_mutexattr_settype, "2.2.5")
OLD_VERSION(pthread_once, "2.2.5")
OLD_VERSION(pthread_rwlock_destroy, "2.2.5")
OLD_VERSION(pthread_rwlock_init, "2.2.5")
OLD_VERSION(pthread_rwlock_rdlock, "2.2.5")
OLD_VERSION(pthread_rwlock_timedrdlock, "2.2.5")
OLD_VERSION(pthread_rwlock_timedwrlock, "2.2.5")
OLD_VERSION(pthread_rwlock_tryrdlock, "2.2.5")
OLD_VERSION(pthread_rwlock_trywrlock, "2.2.5")
OLD_VERSION(pthread_rwlock_unlock, "2.2.5")
OLD_VERSION(pthread_rwlock_wrlock, "2.2.5")
OLD_VERSION(pthread_rwlockattr_destroy, "2.2.5")
OLD_VERSION(pthread_rwlockattr_init, "2.2.5")
OLD_VERSION(pthread_rwlockattr_setpshared, "2.2.5")
OLD_VERSION(pthread_setaffinity_np, "2.3.4")
OLD_VERSION(pthread_setname_np, "2.12")
OLD_VERSION(pthread_setspecific, "2.2.5")
OLD_VERSION(pthread_sigmask, "2.2.5")
OLD_VERSION(pthread_spin_destroy, "2.2.5")
OLD_VERSION(pthread_spin_init, "2.2.5")
OLD_VERSION(pthread_spin_lock, "2.2.5")
OLD_VERSION(pthread_spin_trylock, "2.2.5")
OLD_VERSION(pthread_spin_unlock, "2.2.5")
OLD_VERSION(sem_destroy, "2.2.5")
OLD_VERSION(sem_init, "2.2.5")
OLD_VERSION(sem_post, "2.2.5")
OLD_VERSION(sem_timedwait, "2.2.5")
OLD_VERSION(sem_trywait, "2.2.5")
OLD_VERSION(sem_wait, "2.2.5")
// Moved from librt to libc in 2.34.
OLD_VERSION(shm_open, "2.2.5")
OLD_VERSION(shm_unlink, "2.2.5")
// Moved from libdl to libc in 2.34.
OLD_VERSION(dladdr, "2.2.5")
OLD_VERSION(dlclose, "2.2.5")
OLD_VERSION(dlerror, "2.2.5")
OLD_VERSION(dlinfo, "2.3.3")
OLD_VERSION(dlmopen, "2.3.4")
OLD_VERSION(dlopen, "2.2.5")
OLD_VERSION(dlsym, "2.2.5")
OLD_VERSION(dlvsym, "2.2.5")
// New versions in 2.29 (no errno wrapper) and 2.35.
OLD_VERSION(exp, "2.2.5")
OLD_VERSION(exp2, "2.2.5")
OLD_VERSION(hypot, "2.2.5")
OLD_VERSION(log, "2.2.5")
OLD_VERSION(log2, "2.2.5")
OLD_VERSION(pow, "2.2.5")

#define HIDDEN extern "C" __attribute__((visibility("hidden")))

// 2.32, read by libstdc++'s shared_ptr. Zero: there are threads, count with atomics.
HIDDEN char single_threaded asm("__libc_single_threaded");
char single_threaded = 0;

// 2.36, called by libstdc++'s random_device.
HIDDEN uint32_t random_bits() asm("arc4random");
uint32_t random_bits() {
  uint32_t value;
  while (getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
  }
  return value;
}

// 2.30, called by condition_variable::wait_for and wait_until(steady_clock). The old call knows the wall clock only; a jump of that
// clock makes this one wait return early or late, and callers loop on their own deadline.
HIDDEN int cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                          const timespec* deadline) asm("pthread_cond_clockwait");
int cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock, const timespec* deadline) {
  constexpr int64_t kSecond = 1'000'000'000;
  timespec now, wall;
  if (clock_gettime(clock, &now) != 0 || clock_gettime(CLOCK_REALTIME, &wall) != 0) return EINVAL;
  const int64_t left = (deadline->tv_sec - now.tv_sec) * kSecond + (deadline->tv_nsec - now.tv_nsec);
  const int64_t nanoseconds = wall.tv_nsec + (left > 0 ? left : 0);
  const timespec until = {wall.tv_sec + nanoseconds / kSecond, nanoseconds % kSecond};
  return pthread_cond_timedwait(cond, mutex, &until);
}

// 2.33 made these real functions; before, they were inline wrappers. On x86-64 the kernel's struct stat is glibc's, of both spellings.
HIDDEN int stat_by_path(const char* path, void* out) asm("stat");
HIDDEN int stat_by_path_64(const char* path, void* out) asm("stat64") __attribute__((alias("stat")));
int stat_by_path(const char* path, void* out) { return static_cast<int>(syscall(SYS_stat, path, out)); }

HIDDEN int stat_of_link(const char* path, void* out) asm("lstat");
HIDDEN int stat_of_link_64(const char* path, void* out) asm("lstat64") __attribute__((alias("lstat")));
int stat_of_link(const char* path, void* out) { return static_cast<int>(syscall(SYS_lstat, path, out)); }

HIDDEN int stat_of_file(int fd, void* out) asm("fstat");
HIDDEN int stat_of_file_64(int fd, void* out) asm("fstat64") __attribute__((alias("fstat")));
int stat_of_file(int fd, void* out) { return static_cast<int>(syscall(SYS_fstat, fd, out)); }

HIDDEN int stat_at(int folder, const char* path, void* out, int flags) asm("fstatat");
HIDDEN int stat_at_64(int folder, const char* path, void* out, int flags) asm("fstatat64") __attribute__((alias("fstatat")));
int stat_at(int folder, const char* path, void* out, int flags) {
  return static_cast<int>(syscall(SYS_newfstatat, folder, path, out, flags));
}

// 2.35, called by libgcc's unwinder to find the object an address belongs to and its .eh_frame_hdr. The layout is <dlfcn.h>'s
// struct dl_find_object of x86-64.
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  link_map* map;
  void* eh_frame;
  unsigned long long reserved[7];
};

struct ObjectQuery {
  uintptr_t address;
  FoundObject* result;
};

static int match_object(dl_phdr_info* info, size_t, void* data) {
  const auto* query = static_cast<const ObjectQuery*>(data);
  uintptr_t low = UINTPTR_MAX, high = 0, eh_frame = 0;
  bool hit = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    const uintptr_t end = start + header.p_memsz;
    if (header.p_type == PT_GNU_EH_FRAME) eh_frame = start;
    if (header.p_type != PT_LOAD) continue;
    hit = hit || (query->address >= start && query->address < end);
    if (start < low) low = start;
    if (end > high) high = end;
  }
  if (!hit) return 0;
  if (eh_frame == 0) return -1;
  std::memset(query->result, 0, sizeof *query->result);
  query->result->map_start = reinterpret_cast<void*>(low);
  query->result->map_end = reinterpret_cast<void*>(high);
  query->result->eh_frame = reinterpret_cast<void*>(eh_frame);
  return 1;
}

HIDDEN int find_object(void* address, FoundObject* result) asm("_dl_find_object");
int find_object(void* address, FoundObject* result) {
  ObjectQuery query = {reinterpret_cast<uintptr_t>(address), result};
  return dl_iterate_phdr(match_object, &query) == 1 ? 0 : -1;
}
