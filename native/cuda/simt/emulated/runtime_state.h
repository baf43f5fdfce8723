// What the emulated runtime keeps. One mutex; work itself runs without it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cuda/simt/emulated/control.h"
#include "cuda/simt/emulated/runtime_api.h"

namespace simt {

using Work = std::function<void()>;
struct Stream;

struct Capture {
  struct Node {
    Work work;
    std::vector<size_t> after;
  };
  Stream* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  std::vector<Node> nodes;
  bool invalid = false;
  bool calls_host = false;
};

struct Event {
  unsigned flags;
  uint64_t recorded = 0, done = 0;  // how many records were submitted and reached
  Stream* stream = nullptr;         // of the last record
  std::chrono::steady_clock::time_point time;
  std::shared_ptr<Capture> capture;  // where the last record was captured: which nodes it stands for
  std::vector<size_t> captured;
};

// One piece of a stream: work, or the record of an event, or waiting for one.
struct Piece {
  Work work;
  std::shared_ptr<Event> record, wait;
  uint64_t ticket = 0;
};

struct Stream : std::enable_shared_from_this<Stream> {
  bool blocking = true;  // waits for the default stream's work, and that for its
  std::deque<Piece> pieces;
  bool busy = false;   // a thread is at a piece
  bool hurry = false;  // the device's own thread must see to it
  std::shared_ptr<Capture> capture;
  std::vector<size_t> last;  // nodes that the next captured one comes after
};

struct Allocation {
  size_t bytes;
  bool device;
  void* pages;  // of a device's memory: what p lies in, and how long it is
  size_t page_bytes;
};

struct Runtime {
  std::mutex mutex;
  std::condition_variable changed;
  DeviceSettings device;
  cudaError_t broken = cudaSuccess;  // the device cannot go on
  std::map<std::string, std::pair<cudaError_t, int>> failures;
  std::map<uintptr_t, Allocation> memory;
  size_t device_bytes = 0;
  int open = 0;                              // who may touch the device's memory now
  std::map<const void*, int> dynamic_limit;  // of kernels
  Stream default_stream;
  std::map<Stream*, std::shared_ptr<Stream>> streams;
  std::map<Event*, std::shared_ptr<Event>> events;
  std::map<const void*, std::shared_ptr<Capture>> graphs;  // also instantiated ones
  std::vector<std::shared_ptr<Capture>> captures;          // under way
  std::thread device_thread;
};

Runtime& runtime();
// Set while a host function is called, which must not call the runtime.
extern thread_local bool in_host_function;
using Lock = std::unique_lock<std::mutex>;

// Remembers a failure for cudaGetLastError; passes it on.
cudaError_t result(cudaError_t error);

// The start of every call but the error functions: what it fails with before it does anything. `unsafe`: not while a stream is captured.
cudaError_t begin_call(Runtime& r, const char* name, bool unsafe = false);

// Looks up handles; null is the default stream. Null when there is none.
Stream* find_stream(Runtime& r, cudaStream_t stream);
std::shared_ptr<Event> find_event(Runtime& r, cudaEvent_t event);

// Appends to the stream, or to the graph that it is captured into. Work of the default stream is done at once.
cudaError_t submit(Runtime& r, Lock& lock, Stream& stream, Work work);
// Has the device's own thread work on the stream, whether or not anybody waits.
void hurry(Runtime& r, Stream& stream);
// Runs the stream's pieces until `enough` says so, or none is left.
void advance(Runtime& r, Lock& lock, Stream& stream, const std::function<bool()>& enough);
void finish(Runtime& r, Lock& lock, Stream& stream);
void finish_all(Runtime& r, Lock& lock, bool only_blocking);

// While one exists the device's memory can be touched; host code that does so at any other time ends with SIGSEGV, or AddressSanitizer's
// report. The mutex must be held when it is made and when it goes.
class OpenMemory {
 public:
  explicit OpenMemory(Runtime& r);
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;

 private:
  Runtime& r_;
};

// Whether [p, p + bytes) lies in one allocation of the kind.
bool is_within(const Runtime& r, const void* p, size_t bytes, bool device);

}  // namespace simt
