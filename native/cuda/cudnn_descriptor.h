// cuDNN's backend descriptors: made, filled and finalized, or an Error with cuDNN's own words.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "vendor/cudnn/cudnn.h"

namespace sknet::cuda {

// The status's name, and what cuDNN says of the last call that failed.
inline std::string cudnn_words(const vendor::cudnn::Api& api, vendor::cudnn::Status status) {
  char more[512] = "";
  api.get_last_error_string(more, sizeof(more));
  std::string words = api.get_error_string(status);
  if (more[0] != '\0') words += std::string(" (") + more + ")";
  for (char& c : words) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return words;
}

inline void check_cudnn(const vendor::cudnn::Api& api, vendor::cudnn::Status status, const char* what) {
  if (status == vendor::cudnn::kSuccess) return;
  const std::string words = cudnn_words(api, status);
  throw Error("ERR_SKNET_DEVICE", std::string("cuDNN, ") + what + ": " + words)
      .with_option("device")
      .with_got(words)
      .with_expected("another candidate");
}

class CudnnDescriptor {
 public:
  CudnnDescriptor(const vendor::cudnn::Api& api, int type) : api_(&api) {
    check_cudnn(api, api.descriptor_create(type, &descriptor_), "making a descriptor");
  }
  ~CudnnDescriptor() {
    if (descriptor_ != nullptr) (void)api_->descriptor_destroy(descriptor_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : api_(other.api_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;

  vendor::cudnn::Descriptor get() const { return descriptor_; }

  template <class T>
  CudnnDescriptor& set(int attribute, int type, std::initializer_list<T> values) {
    check_cudnn(*api_, api_->set_attribute(descriptor_, attribute, type, static_cast<int64_t>(values.size()), values.begin()),
                "describing a convolution");
    return *this;
  }
  CudnnDescriptor& set(int attribute, const CudnnDescriptor& other) {
    return set<vendor::cudnn::Descriptor>(attribute, vendor::cudnn::kTypeDescriptor, {other.descriptor_});
  }
  CudnnDescriptor& finalize(const char* what) {
    check_cudnn(*api_, api_->finalize(descriptor_), what);
    return *this;
  }
  // At most `most` values.
  template <class T>
  std::vector<T> get(int attribute, int type, int64_t most) const {
    std::vector<T> values(static_cast<size_t>(most));
    int64_t count = 0;
    check_cudnn(*api_, api_->get_attribute(descriptor_, attribute, type, most, &count, values.data()), "asking for an attribute");
    values.resize(static_cast<size_t>(count < most ? count : most));
    return values;
  }

 private:
  const vendor::cudnn::Api* api_;
  vendor::cudnn::Descriptor descriptor_ = nullptr;
};

}  // namespace sknet::cuda
