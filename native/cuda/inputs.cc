#include "cuda/inputs.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace sknet::cuda {

Inputs::Inputs(const plan::PlanSpec& spec, const plan::Graph& graph, const Footprint& footprint, char* device)
    : footprint_(footprint),
      batch_(spec.shard_size * spec.shards),
      image_floats_(graph.input.size() / graph.input.n),
      bytes_(spec.image_bytes > 0),
      slots_(static_cast<size_t>(footprint.slots)),
      places_(static_cast<size_t>(footprint.places)),
      stream_(make_stream()) {
  for (Slot& slot : slots_) slot = {pinned(static_cast<size_t>(footprint.input())), make_event()};
  for (Place& place : places_) {
    device_.push_back(device);
    place.labels = reinterpret_cast<int32_t*>(device);
    place.labels2 = place.labels + batch_;
    place.mix = place.labels2 + batch_;
    const char* pictures = device + footprint.labels;
    char* images = device + footprint.labels + footprint.pictures;
    if (bytes_) {
      place.pictures = {.pictures = reinterpret_cast<const Picture*>(pictures + kPictureTable * sizeof(float)),
                        .bytes = reinterpret_cast<const uint8_t*>(images),
                        .size = footprint.images,
                        .table = reinterpret_cast<const float*>(pictures)};
    } else {
      place.images = reinterpret_cast<float*>(images);
    }
    place.read = make_event();
    device += footprint.input();
  }
}

Inputs::~Inputs() { (void)cudaStreamSynchronize(stream_.get()); }

void Inputs::send(size_t slot, size_t place, const Images& images, const plan::Targets& targets, int count, cudaStream_t compute) {
  const bool bytes = images.pictures != nullptr;
  check(bytes == bytes_, "ERR_SKNET_NATIVE",
        std::string("the plan reads batches of ") + (bytes_ ? "bytes" : "floats") + ", it was given " + (bytes ? "bytes" : "floats"));
  char* to = slots_[slot].memory.get();
  write_labels(to, targets, count);
  const int64_t size = bytes ? write_pictures(to, *images.pictures, count) : write_floats(to, images.floats, count);
  const cudaEvent_t copied = slots_[slot].copied.get();
  check_cuda(cudaStreamWaitEvent(stream_.get(), places_[place].read.get(), 0), "waiting for memory to copy a batch to");
  check_cuda(cudaMemcpyAsync(device_[place], to, static_cast<size_t>(size), cudaMemcpyHostToDevice, stream_.get()),
             "copying a batch to the device");
  check_cuda(cudaEventRecord(copied, stream_.get()), "copying a batch to the device");
  check_cuda(cudaStreamWaitEvent(compute, copied, 0), "waiting for a batch");
}

void Inputs::release(size_t place, cudaStream_t compute) {
  check_cuda(cudaEventRecord(places_[place].read.get(), compute), "reading a batch");
}

void Inputs::write_labels(char* to, const plan::Targets& targets, int count) const {
  int32_t *labels = reinterpret_cast<int32_t*>(to), *labels2 = labels + batch_;
  float* mix = reinterpret_cast<float*>(labels2 + batch_);
  std::fill_n(labels, batch_, -1);
  if (targets.labels != nullptr) std::copy_n(targets.labels, count, labels);
  if (targets.mix == nullptr) {
    std::copy_n(labels, batch_, labels2);
    std::fill_n(mix, batch_, 1.0f);
  } else {
    std::copy_n(targets.labels2, count, labels2);
    std::copy_n(targets.mix, count, mix);
  }
}

int64_t Inputs::write_floats(char* to, const float* images, int count) const {
  float* floats = reinterpret_cast<float*>(to + footprint_.labels + footprint_.pictures);
  std::copy_n(images, count * image_floats_, floats);
  for (int n = count; n < batch_; ++n) std::copy_n(images + (count - 1) * image_floats_, image_floats_, floats + n * image_floats_);
  return footprint_.input();
}

int64_t Inputs::write_pictures(char* to, const Pictures& batch, int count) const {
  check(batch.size <= footprint_.images, "ERR_SKNET_NATIVE",
        "the loader's batch has " + std::to_string(batch.size) + " bytes, the plan takes " + std::to_string(footprint_.images));
  to += footprint_.labels;
  Picture* pictures = reinterpret_cast<Picture*>(std::copy_n(batch.table, kPictureTable, reinterpret_cast<float*>(to)));
  std::copy_n(batch.pictures, count, pictures);
  std::fill(pictures + count, pictures + batch_, batch.pictures[count - 1]);
  std::copy_n(batch.bytes, batch.size, reinterpret_cast<uint8_t*>(to + footprint_.pictures));
  return footprint_.labels + footprint_.pictures + batch.size;
}

}  // namespace sknet::cuda
