// What an op gets besides its problem and its tensors: threads or a device's stream, and memory that the plan laid out for it.
#pragma once

#include <cstddef>

namespace sknet {

class ThreadPool;

struct Exec {
  ThreadPool* pool;       // on the CPU
  char* workspace;        // shared by the threads; the candidate's workspace(problem) bytes
  char* scratch;          // thread t's part starts at scratch + t * scratch_stride; the candidate's scratch(problem) bytes
  size_t scratch_stride;  // a multiple of 64
  char* packed;           // the candidate's packed(problem) bytes: written by its pack, read by its run
  void* stream;           // on CUDA: the cudaStream_t to launch on
};

}  // namespace sknet
