// One block of a kernel under emulation. Its lanes are fibers of one OS thread that run until they must wait for each other, at a barrier
// or where lanes of a warp meet; then the schedule picks the next. What lanes of a correct kernel compute does not depend on it.
// A mistake ends the kernel, not the process: die() records it, the block is abandoned, and the launch fails as on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/simt/emulated/control.h"
#include "cuda/simt/emulated/fiber.h"
#include "cuda/simt/emulated/language.h"

namespace simt {

constexpr int kWarp = 32;
constexpr int kMostLanes = 1024;
constexpr int kNamedBarriers = 16;

struct AsyncCopy {
  void* shared;
  const void* global;  // null: zeros
  int bytes, group;
  bool landed;
};

// Where lanes of a warp can meet.
enum class Meeting : uint8_t { kSyncwarp, kShuffle, kVote, kMatrixLoad, kMatrixMultiply };

// A multiplication of warpgroups that was started (emulated/warpgroup.h).
struct AsyncProduct {
  float* d;
  int columns;  // 64 or 128
  bool across;
  const char *a, *b;
  int leading[2], stride[2];  // of a, of b
  int group;
};

struct Lane {
  Context context;
  char* stack = nullptr;
  dim3 thread;
  int id = 0, in_warp = 0;
  bool done = false;
  const uint32_t* waits_on = nullptr;  // until it differs from waits_while
  uint32_t waits_while = 0;
  const char* waits_at = nullptr;  // for people
  int waits_line = 0;
  int group = 0;  // of asynchronous copies, the next to commit
  std::vector<AsyncCopy> copies;
  bool unshown = false;    // what it waited for is not shown to products yet
  bool hides = false;      // that was so at its latest barrier
  bool may_begin = false;  // products, since warpgroup_begin
  int product_group = 0;   // as group, of products
  std::vector<AsyncProduct> products;
};

// The meeting of the lanes of one mask. A lane may leave for the next one before others have read this one's slots, but not two ahead.
struct Rendezvous {
  uint32_t mask, arrived, phase;
  Meeting kind;
  int line;
  uint64_t slots[2][kWarp];
};

struct Warp {
  uint32_t alive;
  std::vector<Rendezvous*> meetings;
  uint32_t operands[kWarp][10];  // of a matrix multiplication
};

struct Barrier {
  int arrived, lanes, line;
  uint32_t phase;
};

struct SharedArray {
  const void* site;
  void* memory;
  size_t bytes;
};

struct Launch {
  const char* kernel;
  dim3 grid, block;
  size_t dynamic_bytes;
  std::function<void()> body;  // one lane
};

class Block {
 public:
  Block() = default;
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Runs block `index` of the launch; false when it died. begin() before the first of a launch, end() after the last.
  void begin(const Launch& launch, const Settings& settings);
  bool run(const dim3& index, uint32_t seed);
  void end();

  Lane& lane() { return *current_; }
  Warp& warp() { return warps_[static_cast<size_t>(current_->id / kWarp)]; }
  const dim3& block_index() const { return index_; }
  const dim3& block_size() const { return launch_->block; }
  const dim3& grid_size() const { return launch_->grid; }
  const char* death() const { return death_; }  // empty: alive
  unsigned char* dynamic_shared() { return dynamic_shared_; }
  void* static_shared(const void* site, size_t bytes);

  // A coin that falls either way in the random schedule and false in the others.
  bool flip();
  // Whether a lane came to the latest barrier with copies that it did not show to products.
  bool hides_operands() const { return hiding_ != 0; }

  // `lanes` 0: all of the block, at `line`. `wait` false: only arrive.
  void barrier(int id, int lanes, int line, bool wait);
  // Leaves `value` for the lanes of `mask` and waits for them; the last to come calls `last`. Returns the slots of all.
  const uint64_t* meet(uint32_t mask, uint64_t value, Meeting kind, int line, void (*last)(Warp&) = nullptr);
  // printf's arguments. What lanes have on their stacks is not destroyed.
  [[noreturn]] void die(const char* format, ...) __attribute__((format(printf, 2, 3)));

 private:
  static void enter();
  void leave();
  uint32_t draw();
  bool resume(int lane);
  void next();
  void wait(const uint32_t* word, uint32_t value, const char* at, int line);
  void go_to(Lane* lane);
  bool complete(const Rendezvous& r, const Warp& w) const;
  void finish(Rendezvous& r);
  [[noreturn]] void die_of_deadlock();

  const Launch* launch_ = nullptr;
  Settings settings_;
  dim3 index_;
  int lanes_ = 0, alive_ = 0;
  std::vector<Lane> lane_;
  std::vector<Warp> warps_;
  Barrier barriers_[kNamedBarriers] = {};
  std::vector<SharedArray> shared_;
  unsigned char* dynamic_shared_ = nullptr;
  Context outside_;
  Lane* current_ = nullptr;
  uint32_t random_ = 1;
  int hiding_ = 0;          // lanes
  bool abandoned_ = false;  // the lanes' stacks hold frames that never returned
  char death_[1024] = {};
};

// The block that the calling lane belongs to. Only set while a block runs.
extern __thread Block* current_block __attribute__((tls_model("initial-exec")));
inline Block& block() { return *current_block; }
inline Lane& lane() { return current_block->lane(); }

}  // namespace simt
