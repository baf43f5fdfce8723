#include "cuda/simt/emulated/block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace simt {

__thread Block* current_block = nullptr;

namespace {

constexpr size_t kMostMasks = 32;
constexpr uint32_t kLongRun = 256;  // of a warp in the random schedule, in switches between its lanes
constexpr int kPoison = 0xff;       // NaN in every float format, -1 in every signed integer

const char* name_of(Meeting kind) {
  switch (kind) {
    case Meeting::kSyncwarp:
      return "__syncwarp";
    case Meeting::kShuffle:
      return "a shuffle";
    case Meeting::kVote:
      return "a vote";
    case Meeting::kMatrixLoad:
      return "ldmatrix";
    case Meeting::kMatrixMultiply:
      return "mma";
  }
  return "";
}

// Its own allocation, as long as it is said to be: AddressSanitizer sees overruns.
void* new_shared(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 1024, bytes) != 0) throw std::bad_alloc();
  return memory;
}

}  // namespace

Block::~Block() {
  for (Lane& l : lane_) free_stack(l.stack);
  for (Warp& w : warps_) {
    for (Rendezvous* r : w.meetings) delete r;
  }
}

void Block::begin(const Launch& launch, const Settings& settings) {
  launch_ = &launch;
  settings_ = settings;
  lanes_ = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  lane_.reserve(kMostLanes);  // lanes have pointers to each other's contexts
  while (static_cast<int>(lane_.size()) < lanes_) lane_.emplace_back().stack = new_stack();
  warps_.resize(std::max(warps_.size(), static_cast<size_t>((lanes_ + kWarp - 1) / kWarp)));
  dynamic_shared_ = launch.dynamic_bytes == 0 ? nullptr : static_cast<unsigned char*>(new_shared(launch.dynamic_bytes));
}

void Block::end() {
  free(dynamic_shared_);
  dynamic_shared_ = nullptr;
  for (const SharedArray& array : shared_) free(array.memory);
  shared_.clear();
}

bool Block::run(const dim3& index, uint32_t seed) {
  index_ = index;
  random_ = seed;
  hiding_ = 0;
  alive_ = lanes_;
  death_[0] = 0;
  if (dynamic_shared_ != nullptr) memset(dynamic_shared_, kPoison, launch_->dynamic_bytes);
  for (const SharedArray& array : shared_) memset(array.memory, kPoison, array.bytes);
  memset(barriers_, 0, sizeof(barriers_));
  for (int w = 0; w * kWarp < lanes_; ++w) {
    Warp& warp = warps_[static_cast<size_t>(w)];
    const int lanes = std::min(kWarp, lanes_ - w * kWarp);
    warp.alive = lanes == kWarp ? ~0u : (1u << lanes) - 1;
    for (Rendezvous* r : warp.meetings) r->arrived = 0;
  }
  for (int i = 0; i < lanes_; ++i) {
    Lane& l = lane_[static_cast<size_t>(i)];
    const unsigned id = static_cast<unsigned>(i), x = launch_->block.x, y = launch_->block.y;
    l.thread = dim3(id % x, id / x % y, id / (x * y));
    l.id = i;
    l.in_warp = i % kWarp;
    l.done = false;
    l.waits_on = nullptr;
    l.group = 0;
    l.copies.clear();
    l.unshown = l.hides = l.may_begin = false;
    l.product_group = 0;
    l.products.clear();
    prepare(l.context, l.stack, enter, i, abandoned_);
  }
  abandoned_ = false;
  Block* const outer = current_block;
  current_block = this;
  current_ = nullptr;
  go_to(&lane_[settings_.schedule == Schedule::kDown ? static_cast<size_t>(lanes_ - 1) : 0]);
  current_block = outer;
  return death_[0] == 0;
}

void Block::enter() {
  Block& b = *current_block;
  entered(b.current_->context, b.outside_);
  b.launch_->body();
  b.leave();
}

void Block::leave() {
  Lane& l = *current_;
  l.done = true;
  --alive_;
  Warp& w = warp();
  w.alive &= ~(1u << l.in_warp);
  if (barriers_[0].arrived != 0) die("lane %d returned while others wait at __syncthreads, line %d", l.id, barriers_[0].line);
  // Lanes that are gone are not waited for.
  for (Rendezvous* r : w.meetings) {
    if (r->arrived != 0 && complete(*r, w)) finish(*r);
  }
  next();
  __builtin_unreachable();
}

// Leaves the running lane, or the thread's own stack, for `to`; null: for the thread's own stack.
void Block::go_to(Lane* to) {
  Context& from = current_ == nullptr ? outside_ : current_->context;
  const bool last = current_ != nullptr && current_->done;
  current_ = to;
  switch_to(from, to == nullptr ? outside_ : to->context, last);
}

uint32_t Block::draw() {
  random_ = random_ * 1664525u + 1013904223u;
  return random_ >> 8;
}

bool Block::flip() { return settings_.schedule == Schedule::kRandom && (draw() & 0x100) != 0; }

// Goes on with a lane, unless it has to wait.
bool Block::resume(int lane) {
  Lane& l = lane_[static_cast<size_t>(lane)];
  if (l.done || (l.waits_on != nullptr && *l.waits_on == l.waits_while)) return false;
  if (&l != current_) go_to(&l);
  return true;
}

void Block::next() {
  int i = current_->id;
  if (settings_.schedule == Schedule::kRandom) {
    // Lanes of one warp after the other, so that a warp may be far ahead of the rest; now and then those of any.
    const int first = i / kWarp * kWarp, warp = std::min(kWarp, lanes_ - first);
    const uint32_t drawn = draw();
    if (drawn % kLongRun != 0) {
      const int from = static_cast<int>(drawn / kLongRun) % warp;
      for (int tried = 0; tried < warp; ++tried) {
        if (resume(first + (from + tried) % warp)) return;
      }
    }
    i = static_cast<int>((static_cast<unsigned>(i) + draw()) % static_cast<unsigned>(lanes_));
  }
  for (int tried = 0; tried < lanes_; ++tried) {
    if (settings_.schedule == Schedule::kDown) {
      i = i == 0 ? lanes_ - 1 : i - 1;
    } else {
      i = i + 1 == lanes_ ? 0 : i + 1;
    }
    if (resume(i)) return;
  }
  if (alive_ != 0) die_of_deadlock();
  go_to(nullptr);
}

void Block::wait(const uint32_t* word, uint32_t value, const char* at, int line) {
  Lane& l = *current_;
  l.waits_on = word;
  l.waits_while = value;
  l.waits_at = at;
  l.waits_line = line;
  next();
  l.waits_on = nullptr;
}

void Block::barrier(int id, int lanes, int line, bool wait_for_others) {
  if (id < 0 || id >= kNamedBarriers) die("there is no barrier %d", id);
  Barrier& b = barriers_[id];
  if (lanes == 0) {
    if (alive_ != lanes_) die("__syncthreads, line %d, after some lanes returned", line);
    if (b.arrived != 0 && b.line != line) die("lanes wait at different __syncthreads, lines %d and %d", b.line, line);
    hiding_ += static_cast<int>(current_->unshown) - static_cast<int>(current_->hides);
    current_->hides = current_->unshown;
  } else {
    if (id == 0 || lanes % kWarp != 0 || lanes > lanes_) die("barrier %d cannot be one of %d lanes", id, lanes);
    if (b.arrived != 0 && b.lanes != lanes) die("barrier %d is one of %d lanes and of %d", id, b.lanes, lanes);
  }
  b.line = line;
  b.lanes = lanes;
  const uint32_t phase = b.phase;
  if (++b.arrived == (lanes == 0 ? lanes_ : lanes)) {
    b.arrived = 0;
    ++b.phase;
  } else if (wait_for_others) {
    wait(&b.phase, phase, lanes == 0 ? "__syncthreads" : "a named barrier", line);
  }
}

bool Block::complete(const Rendezvous& r, const Warp& w) const { return (r.mask & w.alive & ~r.arrived) == 0; }

void Block::finish(Rendezvous& r) {
  for (int i = 0; r.arrived != r.mask && i < kWarp; ++i) {
    if ((r.arrived >> i & 1) == 0) r.slots[r.phase & 1][i] = 0;  // of lanes that are gone
  }
  r.arrived = 0;
  ++r.phase;
}

const uint64_t* Block::meet(uint32_t mask, uint64_t value, Meeting kind, int line, void (*last)(Warp&)) {
  Lane& l = *current_;
  Warp& w = warp();
  if ((mask >> l.in_warp & 1) == 0) die("lane %d is not in its own mask %08x of %s, line %d", l.id, mask, name_of(kind), line);
  Rendezvous* found = nullptr;
  for (Rendezvous* r : w.meetings) {
    if (r->mask == mask) found = r;
  }
  if (found == nullptr) {
    if (w.meetings.size() == kMostMasks) die("too many different masks in a warp");
    w.meetings.push_back(found = new Rendezvous{mask, 0, 0, kind, line, {}});
  }
  Rendezvous& r = *found;
  if (r.arrived != 0 && r.kind != kind) {
    die("lanes of a warp meet at %s, line %d, and at %s, line %d", name_of(r.kind), r.line, name_of(kind), line);
  }
  r.kind = kind;
  r.line = line;
  const uint32_t phase = r.phase;
  uint64_t* slots = r.slots[phase & 1];
  slots[l.in_warp] = value;
  r.arrived |= 1u << l.in_warp;
  if (complete(r, w)) {
    if (last != nullptr) last(w);
    finish(r);
  } else {
    wait(&r.phase, phase, name_of(kind), line);
  }
  return slots;
}

void* Block::static_shared(const void* site, size_t bytes) {
  for (const SharedArray& array : shared_) {
    if (array.site == site) return array.memory;
  }
  shared_.push_back({site, new_shared(bytes), bytes});
  return memset(shared_.back().memory, kPoison, bytes);
}

void Block::die(const char* format, ...) {
  int length = snprintf(death_, sizeof(death_), "kernel %s, block (%u, %u, %u): ", launch_->kernel, index_.x, index_.y, index_.z);
  length = std::min(length, static_cast<int>(sizeof(death_)) - 1);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(death_ + length, sizeof(death_) - static_cast<size_t>(length), format, arguments);
  va_end(arguments);
  abandoned_ = true;
  go_to(nullptr);
  __builtin_unreachable();
}

void Block::die_of_deadlock() {
  char where[512] = {};
  size_t length = 0;
  for (int i = 0; i < lanes_ && length < sizeof(where) - 80; ++i) {
    const Lane& l = lane_[static_cast<size_t>(i)];
    if (l.done) continue;
    char place[64];
    snprintf(place, sizeof(place), "at %s, line %d", l.waits_at, l.waits_line);
    if (strstr(where, place) != nullptr) continue;
    length += static_cast<size_t>(snprintf(where + length, sizeof(where) - length, "%slane %d %s", length == 0 ? "" : "; ", i, place));
  }
  die("deadlock: %s", where);
}

}  // namespace simt
