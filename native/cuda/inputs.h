// Batches on their way to the device. The host writes them to pinned slots, a stream of its own copies them to places on the device while
// steps run. A place is free again when a step has read it.
#pragma once

#include <vector>

#include "core/picture.h"
#include "cuda/footprint.h"
#include "cuda/handles.h"
#include "plan/plan.h"

namespace sknet::cuda {

// The images of a batch: floats, or bytes.
struct Images {
  const float* floats = nullptr;
  const Pictures* pictures = nullptr;
};

// A batch as it lies on the device; its shares (mix) are floats.
struct Place {
  int32_t *labels, *labels2, *mix;  // [batch]
  float* images;                    // of floats
  Pictures pictures;                // of bytes
  Event read;                       // by the last step that was given it
};

class Inputs {
 public:
  // `device`: memory for footprint.places batches.
  Inputs(const plan::PlanSpec& spec, const plan::Graph& graph, const Footprint& footprint, char* device);
  // Memory must not go while copies work with it.
  ~Inputs();
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  Place& place(size_t index) { return places_[index]; }
  size_t places() const { return places_.size(); }

  // Writes a batch to `slot`, whose last copy has ended, and starts copying it to `place`; `compute` waits for that. Beyond `count` the
  // last image is repeated and labelled -1; without labels all are.
  void send(size_t slot, size_t place, const Images& images, const plan::Targets& targets, int count, cudaStream_t compute);
  // Behind what was launched on `compute` nothing reads `place` until the next batch is sent there.
  void release(size_t place, cudaStream_t compute);

 private:
  struct Slot {
    PinnedMemory memory;
    Event copied;
  };
  void write_labels(char* to, const plan::Targets& targets, int count) const;
  // Returns how many bytes of the batch there are, in all.
  int64_t write_floats(char* to, const float* images, int count) const;
  int64_t write_pictures(char* to, const Pictures& pictures, int count) const;

  const Footprint footprint_;
  int batch_;
  int64_t image_floats_;
  bool bytes_;
  std::vector<Slot> slots_;
  std::vector<Place> places_;
  std::vector<char*> device_;  // where each place begins
  Stream stream_;
};

}  // namespace sknet::cuda
